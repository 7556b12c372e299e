// What the ledger did at its start to requests that the last process left open. Threads: the loop's.
#pragma once

#include <set>
#include <string>

#include "base/result.h"
#include "http/asio.h"
#include "ledger/ledger.h"

namespace dormouse::gateway {

// The ids of requests that were given back, or ended as broken off, among the last there were: all of a crash's, as a
// request lives no longer than its deadline. Before the first request of this process. Errors: the ledger's.
Task<Result<std::set<std::string>>> taken_back(asio::io_context& io, ledger::Ledger& ledger);

}  // namespace dormouse::gateway
