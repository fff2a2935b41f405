// SPDX-License-Identifier: Apache-2.0

//! tokio's answers to the questions of bench/fibers.c, where it has one: the same names, the same output.
//!
//!     tokiopeer MODE [WORKERS]            prints `name value unit`
//!     tokiopeer echo WORKERS [PORT]       prints `listening 127.0.0.1:PORT` and serves
//!
//! One worker is the current-thread runtime, more are the multi-threaded one. tokio has no channel without
//! room: where the question is about one, its answer uses room for one message (`pp`, `unbuf` and so on are
//! left out, `sel` and `ppsel` are not the same question to the letter). Measured inside a spawned task, so
//! that nothing crosses from the thread that waits for the runtime.

mod crowds;

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{channel, Receiver, Sender};
use tokio::sync::{Mutex, Notify, Semaphore};

fn report(name: &str, value: f64, unit: &str) {
    println!("{name} {value:.2} {unit}");
}

fn per(begin: Instant, n: usize) -> f64 {
    begin.elapsed().as_nanos() as f64 / n as f64
}

async fn yielding() -> f64 {
    let n = 3_000_000;
    let begin = Instant::now();
    let both: Vec<_> = (0..2)
        .map(|_| {
            tokio::spawn(async move {
                for _ in 0..n {
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for one in both {
        one.await.unwrap();
    }
    per(begin, 2 * n)
}

async fn spawning() -> f64 {
    let n = 1_000_000;
    let begin = Instant::now();
    for _ in 0..n {
        tokio::spawn(async {}).await.unwrap();
    }
    per(begin, n)
}

async fn thousands(gated: bool) -> f64 {
    let (rounds, warm_up) = (300, 10);
    let mut begin = Instant::now();
    let mut tasks = Vec::with_capacity(1000);
    for round in 0..rounds + warm_up {
        if round == warm_up {
            begin = Instant::now();
        }
        let gate = Arc::new(Semaphore::new(0));
        for _ in 0..1000 {
            let gate = gate.clone();
            tasks.push(if gated {
                tokio::spawn(async move { drop(gate.acquire().await) })
            } else {
                tokio::spawn(async {})
            });
        }
        if gated {
            tokio::task::yield_now().await;
            gate.close();
        }
        for task in tasks.drain(..) {
            task.await.unwrap();
        }
    }
    per(begin, rounds * 1000)
}

async fn bounce(mut from: Receiver<i32>, to: Sender<i32>) {
    while let Some(v) = from.recv().await {
        if to.send(v).await.is_err() {
            return;
        }
    }
}

async fn ping_pong() -> f64 {
    let n = 2_000_000;
    let (there, there_end) = channel(1);
    let (back_end, mut back) = channel(1);
    tokio::spawn(bounce(there_end, back_end));
    let begin = Instant::now();
    for _ in 0..n {
        there.send(1).await.unwrap();
        back.recv().await.unwrap();
    }
    per(begin, n)
}

async fn items() -> f64 {
    let n = 10_000_000;
    let (to, mut from) = channel(128);
    tokio::spawn(async move {
        for _ in 0..n {
            to.send(1).await.unwrap();
        }
    });
    let begin = Instant::now();
    for _ in 0..n {
        from.recv().await.unwrap();
    }
    per(begin, n)
}

async fn select4(c: &mut [Receiver<i32>]) -> i32 {
    let [a, b, c, d] = c else { unreachable!() };
    tokio::select! { v = a.recv() => v, v = b.recv() => v, v = c.recv() => v, v = d.recv() => v }.unwrap()
}

async fn select8(c: &mut [Receiver<i32>]) -> i32 {
    let [a, b, c, d, e, f, g, h] = c else { unreachable!() };
    tokio::select! {
        v = a.recv() => v, v = b.recv() => v, v = c.recv() => v, v = d.recv() => v,
        v = e.recv() => v, v = f.recv() => v, v = g.recv() => v, v = h.recv() => v,
    }
    .unwrap()
}

/// Receives from senders that never stop; each channel has room for one.
async fn select_looping(ways: usize) -> f64 {
    let n = 2_000_000;
    let mut ends = Vec::new();
    for _ in 0..ways {
        let (to, end) = channel(1);
        ends.push(end);
        tokio::spawn(async move { while to.send(1).await.is_ok() {} });
    }
    let begin = Instant::now();
    for _ in 0..n {
        black_box(if ways == 4 { select4(&mut ends).await } else { select8(&mut ends).await });
    }
    per(begin, n)
}

/// Sends to one of the channels, then selects over all.
async fn select_one_ready(ways: usize) -> f64 {
    let n = 2_000_000;
    let (to, mut ends): (Vec<_>, Vec<_>) = (0..ways).map(|_| channel(1)).unzip();
    let begin = Instant::now();
    for i in 0..n {
        to[i & (ways - 1)].send(1).await.unwrap();
        black_box(if ways == 4 { select4(&mut ends).await } else { select8(&mut ends).await });
    }
    per(begin, n)
}

/// A round trip whose answer is awaited by a select that has to park.
async fn select_parked() -> f64 {
    let n = 1_000_000;
    let (there, there_end) = channel(1);
    let (back_end, back) = channel(1);
    tokio::spawn(bounce(there_end, back_end));
    let (keep, mut ends): (Vec<_>, Vec<_>) = (0..3).map(|_| channel(1)).unzip();
    ends.push(back);
    let begin = Instant::now();
    for _ in 0..n {
        there.send(1).await.unwrap();
        black_box(select4(&mut ends).await);
    }
    drop(keep);
    per(begin, n)
}

async fn mutex() -> f64 {
    let n = 10_000_000;
    let m = Mutex::new(0);
    let begin = Instant::now();
    for _ in 0..n {
        drop(black_box(&m).lock().await);
    }
    per(begin, n)
}

/// 700 steps of a linear congruence, some 0.8 us; black_box keeps them from being folded into fewer.
fn task() {
    let mut x: u64 = 1;
    for _ in 0..700 {
        x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        // SAFETY: no instruction at all; it only hides x's value from the optimiser, and keeps it in its register.
        unsafe { std::arch::asm!("/* {x} */", x = inout(reg) x, options(nomem, nostack, preserves_flags)) };
    }
    black_box(x);
}

async fn fan_out() -> f64 {
    let n = 200_000;
    let left = Arc::new((AtomicUsize::new(n), Notify::new()));
    let begin = Instant::now();
    for _ in 0..n {
        let left = left.clone();
        tokio::spawn(async move {
            task();
            if left.0.fetch_sub(1, Ordering::AcqRel) == 1 {
                left.1.notify_one();
            }
        });
    }
    left.1.notified().await;
    per(begin, n)
}

/// The sum of the numbers that follow `key` in the lines of a file of /proc.
fn sum_of(path: &str, key: &str) -> i64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let number = |line: &str| -> Option<i64> { line.trim().strip_prefix(key)?.split_whitespace().next()?.parse().ok() };
    text.lines().filter_map(number).sum()
}

fn available_bytes() -> i64 {
    sum_of("/proc/meminfo", "MemAvailable:") * 1024 + sum_of("/proc/zoneinfo", "count:") * 4096
}

/// Tasks that hold nothing but their wait: a task has no stack, so this is the least of what one costs.
async fn park(n: usize) {
    let gate = Arc::new(Notify::new());
    let parked = Arc::new(AtomicUsize::new(0));
    let (before, rss) = (available_bytes(), sum_of("/proc/self/status", "VmRSS:"));
    let begin = Instant::now();
    for _ in 0..n {
        let (gate, parked) = (gate.clone(), parked.clone());
        tokio::spawn(async move {
            parked.fetch_add(1, Ordering::Relaxed);
            gate.notified().await;
        });
    }
    while parked.load(Ordering::Relaxed) < n {
        tokio::task::yield_now().await;
    }
    let took = per(begin, n);
    std::thread::sleep(Duration::from_millis(300));
    report("bytes", (before - available_bytes()) as f64 / n as f64, "B");
    report("rss", (sum_of("/proc/self/status", "VmRSS:") - rss) as f64 * 1024.0 / n as f64, "B");
    report("time", took, "ns");
}

async fn echo_one(mut c: TcpStream) -> std::io::Result<()> {
    let mut buf = [0; 4096];
    c.set_nodelay(true)?;
    loop {
        match c.read(&mut buf).await? {
            0 => return Ok(()),
            n => c.write_all(&buf[..n]).await?,
        }
    }
}

async fn echo(port: u16) {
    let ln = TcpListener::bind(("127.0.0.1", port)).await.expect("listening");
    println!("listening {}", ln.local_addr().unwrap());
    while let Ok((c, _)) = ln.accept().await {
        tokio::spawn(echo_one(c));
    }
}

async fn run(mode: String, argument: String) {
    let ns = match mode.as_str() {
        "yield" => yielding().await,
        "spawn" => spawning().await,
        "gate" => thousands(true).await,
        "spawn1000" => thousands(false).await,
        "pp1" => ping_pong().await,
        "buf" => items().await,
        "sel4" => select_looping(4).await,
        "sel8" => select_looping(8).await,
        "selone4" => select_one_ready(4).await,
        "selone8" => select_one_ready(8).await,
        "ppsel" => select_parked().await,
        "mutex" => mutex().await,
        "fanout" => fan_out().await,
        "park100k" => return park(100_000).await,
        "park1m" => return park(1_000_000).await,
        "echo" => return echo(argument.parse().unwrap_or(0)).await,
        _ => {
            if crowds::run(&mode).await.is_none() {
                eprintln!("tokiopeer: no mode {mode}");
                std::process::exit(2);
            }
            return;
        }
    };
    report(&mode, ns, "ns");
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mode = args.next().expect("usage: tokiopeer MODE [WORKERS]   or: tokiopeer echo WORKERS [PORT]");
    let workers: usize = args.next().map_or(1, |w| w.parse().expect("workers"));
    let mut builder = match workers {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if workers > 1 {
        builder.worker_threads(workers);
    }
    let runtime = builder.enable_all().build().unwrap();
    let argument = args.next().unwrap_or_default();
    runtime.block_on(async { tokio::spawn(run(mode, argument)).await.unwrap() });
    std::process::exit(0); // tasks that wait for ever are not waited for
}
