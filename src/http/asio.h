// The part of Asio that other folders may see: one io_context a process, coroutines, timers. Precompiled, because it
// costs seconds. Beast stays behind http/*.cc.
// Rules that keep GCC 12 honest (docs/adr/0005): no capturing lambda as a coroutine and none inside a co_await
// expression; parameters by value; every await has a deadline; look at every ec.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace dormouse {

namespace asio = boost::asio;

template <typename T = void>
using Task = asio::awaitable<T>;

inline constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

}  // namespace dormouse
