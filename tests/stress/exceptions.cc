// SPDX-License-Identifier: Apache-2.0
/* exceptions.cc - throws.h tells. The only C++ of the test suite that runs on fibers. */
#include "throws.h"

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace
{

struct Counted {
    int &live;
    explicit Counted(int &n) : live(n) { live++; }
    ~Counted() { live--; }
};

[[gnu::noinline]] void dive(int depth, int who, int &live)
{
    Counted here(live);
    std::vector<std::string> load(3, std::string(40, static_cast<char>('a' + who % 26)));
    if (depth == 0)
        throw std::runtime_error("fiber " + std::to_string(who) + load[2]);
    dive(depth - 1, who, live);
}

std::string text_of(int who, int round)
{
    return "fiber " + std::to_string(who) + " round " + std::to_string(round);
}

} // namespace

int throws_and_catches(int depth, int who)
{
    int live = 0;
    std::string want =
        "fiber " + std::to_string(who) + std::string(40, static_cast<char>('a' + who % 26));
    try {
        dive(depth, who, live);
    } catch (const std::runtime_error &e) {
        if (live != 0)
            return 1;
        return e.what() == want && std::uncaught_exceptions() == 0 ? 0 : 2;
    }
    return 3;
}

int parks_while_caught(int who, int round, void (*park)(void *), void *arg)
{
    try {
        try {
            throw std::runtime_error(text_of(who, round));
        } catch (const std::exception &) {
            std::exception_ptr mine = std::current_exception();
            park(arg);
            if (std::current_exception() != mine)
                return 1;
            try {
                throw std::logic_error(text_of(who, -round));
            } catch (const std::logic_error &inner) {
                park(arg);
                if (inner.what() != text_of(who, -round))
                    return 2;
            }
            if (std::current_exception() != mine)
                return 3;
            park(arg);
            throw;
        }
    } catch (const std::runtime_error &e) {
        park(arg);
        if (e.what() != text_of(who, round))
            return 4;
    }
    return std::current_exception() == nullptr && std::uncaught_exceptions() == 0 ? 0 : 5;
}
