// SPDX-License-Identifier: Apache-2.0
/*
 * boostpeer.cpp - boost.fiber's answers to the questions of bench/fibers.c and bench/crowds.c, where
 * it has one.
 *
 *     boostpeer MODE [WORKERS]     prints `name value unit`
 *
 * One worker is the round-robin scheduler, more share their work (algo::shared_work). It has no
 * select, no lock for several readers, no timers but sleep, no I/O of its own: these are left out. A
 * buffered channel of 2^k has room for 2^k - 1; a channel of 1 is one of 2. Stacks of 64 KiB without
 * a guard: from a pool with one worker (the pool may not be used from two threads), from malloc else.
 */
#include <algorithm>
#include <atomic>
#include <boost/fiber/all.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace fibers = boost::fibers;
using clock_type = std::chrono::steady_clock;

namespace
{

constexpr std::size_t stack_bytes = 64 << 10;
constexpr int short_steps = 50, long_steps = 4000;

std::string mode;
int workers = 1;

void report(const char *name, double value, const char *unit)
{
    std::printf("%s %.2f %s\n", name, value, unit);
}

double ns_since(clock_type::time_point begin)
{
    return std::chrono::duration<double, std::nano>(clock_type::now() - begin).count();
}

void report_spread(std::vector<std::int64_t> &took)
{
    std::sort(took.begin(), took.end());
    report("p50", double(took[took.size() / 2]) / 1000, "us");
    report("p99", double(took[took.size() * 99 / 100]) / 1000, "us");
}

template <typename F> fibers::fiber start(F fn)
{
    static fibers::pooled_fixedsize_stack pool(stack_bytes);
    if (workers == 1)
        return fibers::fiber(std::allocator_arg, pool, fn);
    return fibers::fiber(std::allocator_arg, fibers::fixedsize_stack(stack_bytes), fn);
}

void work(int steps)
{
    std::uint64_t x = 1;
    for (int i = 0; i < steps; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        __asm__ volatile("" : "+r"(x));
    }
}

/* Go's wait group, by what boost has. */
class wait_group
{
  public:
    void add(long n) { left += n; }
    void done()
    {
        if (--left == 0) {
            std::lock_guard<fibers::mutex> held(m);
            all.notify_all();
        }
    }
    void wait()
    {
        std::unique_lock<fibers::mutex> held(m);
        all.wait(held, [this] { return left == 0; });
    }

  private:
    std::atomic<long> left{0};
    fibers::mutex m;
    fibers::condition_variable all;
};

void yielding()
{
    constexpr long n = 3000000;
    auto loop = [] {
        for (long i = 0; i < n; i++)
            boost::this_fiber::yield();
    };
    auto begin = clock_type::now();
    fibers::fiber a = start(loop), b = start(loop);
    a.join();
    b.join();
    report(mode.c_str(), ns_since(begin) / (2.0 * n), "ns");
}

void spawning()
{
    constexpr long n = 300000;
    auto begin = clock_type::now();
    for (long i = 0; i < n; i++)
        start([] {}).join();
    report(mode.c_str(), ns_since(begin) / n, "ns");
}

/* A gate: a channel without room that is closed, as in the other programs. */
void thousands(bool gated)
{
    constexpr int rounds = 100, warm_up = 5;
    clock_type::time_point begin;
    for (int r = 0; r < rounds + warm_up; r++) {
        if (r == warm_up)
            begin = clock_type::now();
        fibers::unbuffered_channel<int> gate;
        wait_group gone;
        gone.add(1000);
        for (int i = 0; i < 1000; i++)
            start([&, gated] {
                int v;
                if (gated)
                    gate.pop(v);
                gone.done();
            }).detach();
        if (gated) {
            boost::this_fiber::yield();
            gate.close();
        }
        gone.wait();
    }
    report(mode.c_str(), ns_since(begin) / (rounds * 1000.0), "ns");
}

template <typename C> void ping_pong(C &there, C &back)
{
    constexpr long n = 1000000;
    fibers::fiber other = start([&] {
        int v;
        for (long i = 0; i < n; i++) {
            there.pop(v);
            back.push(v);
        }
    });
    int v;
    auto begin = clock_type::now();
    for (long i = 0; i < n; i++) {
        there.push(1);
        back.pop(v);
    }
    report(mode.c_str(), ns_since(begin) / n, "ns");
    other.join();
}

template <typename C> void items(C &pipe, long n)
{
    fibers::fiber producer = start([&, n] {
        for (long i = 0; i < n; i++)
            pipe.push(1);
    });
    int v;
    auto begin = clock_type::now();
    for (long i = 0; i < n; i++)
        pipe.pop(v);
    report(mode.c_str(), ns_since(begin) / double(n), "ns");
    producer.join();
}

void uncontended()
{
    constexpr long n = 10000000;
    fibers::mutex m;
    auto begin = clock_type::now();
    for (long i = 0; i < n; i++) {
        m.lock();
        m.unlock();
    }
    report(mode.c_str(), ns_since(begin) / n, "ns");
}

void fan_out()
{
    constexpr int n = 200000;
    wait_group gone;
    gone.add(n);
    auto begin = clock_type::now();
    for (int i = 0; i < n; i++)
        start([&] {
            work(700);
            gone.done();
        }).detach();
    gone.wait();
    report(mode.c_str(), ns_since(begin) / n, "ns");
}

long long sum_of(const char *path, const char *key)
{
    char line[256];
    long long sum = 0, v;
    std::FILE *f = std::fopen(path, "re");
    while (f && std::fgets(line, sizeof line, f)) {
        char *at = std::strstr(line, key);
        if (at && std::sscanf(at + std::strlen(key), "%lld", &v) == 1)
            sum += v;
    }
    if (f)
        std::fclose(f);
    return sum;
}

long long available_bytes()
{
    return sum_of("/proc/meminfo", "MemAvailable:") * 1024 +
           sum_of("/proc/zoneinfo", " count:") * 4096;
}

/* Starts n that park at the gate, waits until all have; the time that took. */
double start_parked(long n, fibers::unbuffered_channel<int> &gate, wait_group &gone)
{
    wait_group parked;
    auto begin = clock_type::now();
    parked.add(n);
    gone.add(n);
    for (long i = 0; i < n; i++)
        start([&] {
            int v;
            parked.done();
            gate.pop(v);
            gone.done();
        }).detach();
    parked.wait();
    return ns_since(begin);
}

void park(long n)
{
    fibers::unbuffered_channel<int> gate;
    wait_group gone;
    long long before = available_bytes();
    double took = start_parked(n, gate, gone);
    ::usleep(300000);
    report("bytes", double(before - available_bytes()) / double(n), "B");
    report("time", took / double(n), "ns");
    std::fflush(stdout);
    std::_Exit(0); /* those that wait for ever are not waited for */
}

void park_again(int n, int rounds)
{
    double sum = 0;
    for (int r = 0; r <= rounds; r++) {
        fibers::unbuffered_channel<int> gate;
        wait_group gone;
        double took = start_parked(n, gate, gone);
        sum += r ? took : 0;
        gate.close();
        gone.wait();
    }
    report(mode.c_str(), sum / (double(rounds) * n), "ns");
}

/* ---- crowds ---- */

struct contention {
    fibers::mutex m;
    bool is_long;
    int each;

    void contender(std::int64_t *waits)
    {
        for (int i = 0; i < each; i++) {
            auto asked = waits ? clock_type::now() : clock_type::time_point();
            m.lock();
            if (waits)
                waits[i] = std::int64_t(ns_since(asked));
            work(is_long ? long_steps : short_steps);
            if (is_long || i % 8 == 0)
                boost::this_fiber::yield();
            m.unlock();
            work(short_steps);
        }
    }

    double contend(int count, std::int64_t *waits)
    {
        wait_group gone;
        auto begin = clock_type::now();
        gone.add(count);
        for (int k = 0; k < count; k++)
            start([this, k, waits, &gone] {
                contender(waits ? waits + std::size_t(k) * std::size_t(each) : nullptr);
                gone.done();
            }).detach();
        gone.wait();
        return ns_since(begin);
    }
};

void locks(int count, bool is_long)
{
    contention c;
    c.is_long = is_long;
    c.each = (is_long ? 40000 : 1000000) / count;
    std::vector<std::int64_t> waits(std::size_t(count) * std::size_t(c.each));
    report(mode.c_str(), c.contend(count, nullptr) / double(waits.size()), "ns");
    c.contend(count, waits.data());
    report_spread(waits);
}

void many(int n, int m)
{
    constexpr int total = 2000000;
    fibers::buffered_channel<int> pipe(64);
    wait_group senders, receivers;
    auto begin = clock_type::now();
    senders.add(n);
    receivers.add(m);
    for (int i = 0; i < m; i++)
        start([&] {
            int v;
            while (pipe.pop(v) == fibers::channel_op_status::success)
                ;
            receivers.done();
        }).detach();
    for (int i = 0; i < n; i++)
        start([&] {
            for (int k = 0; k < total / n; k++)
                pipe.push(1);
            senders.done();
        }).detach();
    senders.wait();
    pipe.close();
    receivers.wait();
    report(mode.c_str(), ns_since(begin) / double(total / n * n), "ns");
}

void sleeping()
{
    std::vector<std::int64_t> late(500);
    for (auto &one : late) {
        auto until = clock_type::now() + std::chrono::milliseconds(1);
        boost::this_fiber::sleep_until(until);
        one = std::int64_t(ns_since(until));
    }
    report_spread(late);
}

bool run_channels()
{
    if (mode == "pp" || mode == "unbuf") {
        fibers::unbuffered_channel<int> a, b;
        mode == "pp" ? ping_pong(a, b) : items(a, 3000000);
    } else if (mode == "pp1") {
        fibers::buffered_channel<int> a(2), b(2);
        ping_pong(a, b);
    } else if (mode == "buf") {
        fibers::buffered_channel<int> a(128);
        items(a, 10000000);
    } else {
        return false;
    }
    return true;
}

bool run()
{
    int n = 0, m = 0;
    char length[8] = "";
    if (mode == "yield")
        yielding();
    else if (mode == "spawn")
        spawning();
    else if (mode == "gate" || mode == "spawn1000")
        thousands(mode == "gate");
    else if (mode == "mutex")
        uncontended();
    else if (mode == "fanout")
        fan_out();
    else if (mode == "park100k" || mode == "park1m")
        park(mode == "park1m" ? 1000000 : 100000);
    else if (mode == "parkwarm")
        park_again(1000, 300);
    else if (mode == "parkagain")
        park_again(100000, 5);
    else if (mode == "sleep")
        sleeping();
    else if (std::sscanf(mode.c_str(), "mutex%d%7s", &n, length) == 2)
        locks(n, std::strcmp(length, "long") == 0);
    else if (std::sscanf(mode.c_str(), "nm%dx%d", &n, &m) == 2)
        many(n, m);
    else
        return run_channels();
    return true;
}

/* Other threads share the work until the mode has ended. */
bool run_shared()
{
    fibers::mutex m;
    fibers::condition_variable_any ended;
    bool over = false, known;
    std::vector<std::thread> others;
    fibers::use_scheduling_algorithm<fibers::algo::shared_work>(true);
    for (int i = 1; i < workers; i++)
        others.emplace_back([&] {
            fibers::use_scheduling_algorithm<fibers::algo::shared_work>(true);
            std::unique_lock<fibers::mutex> held(m);
            ended.wait(held, [&] { return over; });
        });
    known = run();
    {
        std::lock_guard<fibers::mutex> held(m);
        over = true;
    }
    ended.notify_all();
    for (auto &one : others)
        one.join();
    return known;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc < 2) {
        std::fprintf(stderr, "usage: boostpeer MODE [WORKERS]\n");
        return 2;
    }
    mode = argv[1];
    workers = argc > 2 ? std::atoi(argv[2]) : 1;
    if (workers > 1 ? run_shared() : run())
        return 0;
    std::fprintf(stderr, "boostpeer: no mode %s\n", mode.c_str());
    return 2;
}
