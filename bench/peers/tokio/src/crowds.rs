// SPDX-License-Identifier: Apache-2.0

//! tokio's answers to the questions of bench/crowds.c, where it has one. It has no channel for several
//! receivers, no tree of contexts and no HTTP: these are left out, but for one sender and one receiver. A timer
//! is a `Sleep` that was polled once, so that it stands in the wheel; those that fire belong to a task each.

use crate::{per, report};
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::sync::{mpsc, Mutex, Notify, RwLock, Semaphore};
use tokio::time::{sleep, sleep_until, Sleep};

const SHORT_STEPS: usize = 50;
const LONG_STEPS: usize = 4000;

fn work(steps: usize) {
    let mut x: u64 = 1;
    for _ in 0..steps {
        x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        // SAFETY: no instruction at all; it only hides x's value from the optimiser.
        unsafe { std::arch::asm!("/* {x} */", x = inout(reg) x, options(nomem, nostack, preserves_flags)) };
    }
    black_box(x);
}

fn report_spread(mut took: Vec<i64>, unit_ns: f64, unit: &str) {
    took.sort_unstable();
    report("p50", took[took.len() / 2] as f64 / unit_ns, unit);
    report("p99", took[took.len() * 99 / 100] as f64 / unit_ns, unit);
}

struct Contention {
    mutex: Mutex<()>,
    rw: RwLock<()>,
    is_rw: bool,
    is_long: bool,
    each: usize,
}

impl Contention {
    async fn section(&self, i: usize) {
        work(if self.is_long { LONG_STEPS } else { SHORT_STEPS });
        if self.is_long || i % 8 == 0 {
            tokio::task::yield_now().await;
        }
    }

    /// Enters, works, leaves; says when it was in.
    async fn operation(&self, i: usize, timed: bool) -> Option<Instant> {
        let now = || timed.then(Instant::now);
        if !self.is_rw {
            let _held = self.mutex.lock().await;
            let entered = now();
            self.section(i).await;
            entered
        } else if i % 10 == 0 {
            let _held = self.rw.write().await;
            let entered = now();
            self.section(i).await;
            entered
        } else {
            let _held = self.rw.read().await;
            let entered = now();
            self.section(i).await;
            entered
        }
    }

    async fn contender(self: Arc<Self>, timed: bool) -> Vec<i64> {
        let mut waits = Vec::with_capacity(if timed { self.each } else { 0 });
        for i in 0..self.each {
            let asked = timed.then(Instant::now);
            if let (Some(asked), Some(entered)) = (asked, self.operation(i, timed).await) {
                waits.push((entered - asked).as_nanos() as i64);
            }
            work(SHORT_STEPS);
        }
        waits
    }
}

async fn contend(c: &Arc<Contention>, fibers: usize, timed: bool) -> Vec<i64> {
    let tasks: Vec<_> = (0..fibers).map(|_| tokio::spawn(c.clone().contender(timed))).collect();
    let mut waits = Vec::new();
    for task in tasks {
        waits.append(&mut task.await.unwrap());
    }
    waits
}

/// mutexNshort, mutexNlong, rwNshort, rwNlong
async fn locks(mode: &str) -> Option<()> {
    let is_rw = mode.starts_with("rw");
    let rest = mode.strip_prefix("mutex").or(mode.strip_prefix("rw"))?;
    let is_long = rest.ends_with("long");
    let fibers: usize = rest.strip_suffix("long").or(rest.strip_suffix("short"))?.parse().ok()?;
    let each = if is_long { 40_000 } else { 1_000_000 } / fibers;
    let c = Arc::new(Contention { mutex: Mutex::new(()), rw: RwLock::new(()), is_rw, is_long, each });
    let begin = Instant::now();
    contend(&c, fibers, false).await;
    report(mode, per(begin, fibers * each), "ns");
    report_spread(contend(&c, fibers, true).await, 1000.0, "us");
    Some(())
}

async fn one_to_one() -> f64 {
    let n = 2_000_000;
    let (to, mut from) = mpsc::channel(64);
    let begin = Instant::now();
    let receiver = tokio::spawn(async move { while from.recv().await.is_some() {} });
    let sender = tokio::spawn(async move {
        for _ in 0..n {
            to.send(1).await.unwrap();
        }
    });
    sender.await.unwrap();
    receiver.await.unwrap();
    per(begin, n)
}

/// Polls a timer once from outside of its task's own waiting: it is in the wheel then.
fn enter(timer: &mut Pin<Box<Sleep>>, cx: &mut Context<'_>) {
    assert!(timer.as_mut().poll(cx).is_pending());
}

fn clock(id: i32) -> i64 {
    #[repr(C)]
    struct Timespec(i64, i64);
    extern "C" {
        fn clock_gettime(id: i32, ts: *mut Timespec) -> i32;
    }
    let mut ts = Timespec(0, 0);
    // SAFETY: it fills the structure, whose layout is that of the C library on 64-bit Linux.
    unsafe { clock_gettime(id, &mut ts) };
    ts.0 * 1_000_000_000 + ts.1
}

const MONOTONIC: i32 = 1;
const PROCESS: i32 = 2;

async fn timers() {
    let n = 1_000_000;
    let mut timers: Vec<Pin<Box<Sleep>>> = Vec::with_capacity(n);
    std::future::poll_fn(|cx| {
        let base = tokio::time::Instant::now();
        let begin = Instant::now();
        for i in 0..n {
            timers.push(Box::pin(sleep_until(base + Duration::from_secs(3600) + Duration::from_micros(i as u64))));
            enter(&mut timers[i], cx);
        }
        report("start", per(begin, n), "ns");
        let begin = Instant::now();
        for (i, timer) in timers.iter_mut().enumerate() {
            timer.as_mut().reset(base + Duration::from_secs(7200) - Duration::from_micros(i as u64));
            enter(timer, cx);
        }
        report("reset", per(begin, n), "ns");
        let begin = Instant::now();
        timers.clear();
        report("stop", per(begin, n), "ns");
        Poll::Ready(())
    })
    .await;
    let fired = Arc::new(AtomicUsize::new(0));
    let due = tokio::time::Instant::now() + Duration::from_secs(3);
    for i in 0..n {
        let fired = fired.clone();
        tokio::spawn(async move {
            sleep_until(due + Duration::from_micros(2 * i as u64)).await;
            fired.fetch_add(1, Ordering::SeqCst);
        });
    }
    sleep_until(due).await;
    let begin = clock(PROCESS);
    while fired.load(Ordering::SeqCst) < n {
        sleep(Duration::from_millis(1)).await;
    }
    report("fire", (clock(PROCESS) - begin) as f64 / n as f64, "ns");
}

async fn sleeping() {
    let mut late = Vec::new();
    for _ in 0..500 {
        let begin = Instant::now();
        sleep(Duration::from_millis(1)).await;
        late.push(begin.elapsed().as_nanos() as i64 - 1_000_000);
    }
    report_spread(late, 1000.0, "us");
}

/// Times that were written to standard input, which is a pipe.
async fn events() {
    use std::os::fd::FromRawFd;
    // SAFETY: standard input is open, and nobody else reads it.
    let file = unsafe { std::fs::File::from_raw_fd(0) };
    let owned: std::os::fd::OwnedFd = file.into();
    let mut pipe = tokio::net::unix::pipe::Receiver::from_owned_fd(owned).expect("standard input is a pipe");
    let mut late = Vec::new();
    while let Ok(written) = pipe.read_i64_le().await {
        late.push(clock(MONOTONIC) - written);
    }
    report_spread(late, 1000.0, "us");
}

async fn park_again(n: usize, rounds: usize) -> f64 {
    let mut sum = 0;
    for round in 0..=rounds {
        let (gate, parked, all) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let begin = Instant::now();
        let tasks: Vec<_> = (0..n)
            .map(|_| {
                let (gate, parked, all) = (gate.clone(), parked.clone(), all.clone());
                tokio::spawn(async move {
                    if parked.fetch_add(1, Ordering::AcqRel) + 1 == n {
                        all.notify_one();
                    }
                    drop(gate.acquire().await);
                })
            })
            .collect();
        all.notified().await;
        if round > 0 {
            sum += begin.elapsed().as_nanos();
        }
        gate.close();
        for task in tasks {
            task.await.unwrap();
        }
    }
    sum as f64 / (rounds * n) as f64
}

/// Runs a mode of bench/crowds.c; None where there is no answer to one of that name.
pub async fn run(mode: &str) -> Option<()> {
    match mode {
        "nm1x1" => report(mode, one_to_one().await, "ns"),
        "timers" => timers().await,
        "sleep" => sleeping().await,
        "event" => events().await,
        "parkwarm" => report(mode, park_again(1000, 300).await, "ns"),
        "parkagain" => report(mode, park_again(100_000, 5).await, "ns"),
        _ => return locks(mode).await,
    }
    Some(())
}
