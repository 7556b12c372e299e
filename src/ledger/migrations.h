// The ledger's schema as a numbered list, each step in one transaction with the row that says it was taken.
// Files: ledger/migrations/NNNN_name.sql, embedded at build time. A released file is never edited: add the next number.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "ledger/sqlite.h"

namespace dormouse::ledger {

struct Migration {
  int version = 0;  // 1, 2, 3, ... without gaps
  const char* name = nullptr;
  const char* sql = nullptr;
};

[[nodiscard]] std::span<const Migration> all_migrations();

// Applies what is missing; returns how many. Errors: kInvalidArgument (the file was written by a newer version),
// kDataLoss (its list is not ours), kUnavailable (disk).
Result<std::int64_t> migrate(Connection& connection, std::span<const Migration> migrations, std::int64_t wall_us);

}  // namespace dormouse::ledger
