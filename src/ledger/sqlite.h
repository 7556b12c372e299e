// SQLite behind RAII and Result: connections, prepared statements, one place where its codes become Errors.
// Threads: a Connection and its statements belong to one thread at a time (opened without SQLite's own mutex).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace dormouse::ledger {

enum class Access { kReadWrite, kReadOnly };

class Connection;

// A borrowed, prepared statement of a Connection; reset and its bindings cleared when this goes out of scope.
class Statement {
 public:
  Statement(Connection& connection, sqlite3_stmt* statement) : connection_(&connection), statement_(statement) {}
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  // Parameters are numbered from 1. Texts are copied.
  Statement& bind(int index, std::int64_t value);
  Statement& bind(int index, std::string_view value);
  Statement& bind_optional(int index, const std::optional<std::int64_t>& value);
  Statement& bind_optional(int index, const std::optional<std::string>& value);
  Statement& bind_null(int index);

  // True: a row is there. Columns are numbered from 0.
  Result<bool> step();
  // For statements without rows.
  Status run();
  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] std::string text(int column) const;
  [[nodiscard]] bool is_null(int column) const;
  [[nodiscard]] std::optional<std::int64_t> optional_integer(int column) const;

 private:
  Connection* connection_;
  sqlite3_stmt* statement_;
  int bind_failure_ = 0;
};

class Connection {
 public:
  // kReadWrite: made with mode 0600 if absent, WAL, synchronous=FULL. kReadOnly: must exist.
  static Result<Connection> open(const std::string& path, Access access);
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&&) = delete;
  ~Connection();

  // `sql` must be a literal: the address is the key of the statement cache.
  Result<Statement> prepare(const char* sql);
  // Several statements without parameters or results: pragmas, migrations.
  Status execute(const std::string& sql);
  Result<std::int64_t> query_integer(const char* sql);
  [[nodiscard]] int changes() const;
  [[nodiscard]] bool in_transaction() const;
  void rollback() noexcept;  // nothing open: nothing happens

  // What the last failed call on this connection means. Full disk, I/O, busy: kUnavailable. Constraints:
  // kAlreadyExists (unique), kInvalidArgument (check, foreign key, not null). Corruption: kDataLoss.
  [[nodiscard]] Error error(std::string_view what) const;

 private:
  Connection() = default;
  sqlite3* handle_ = nullptr;
  std::unordered_map<const char*, sqlite3_stmt*> statements_;
};

}  // namespace dormouse::ledger
