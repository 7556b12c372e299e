#include "ledger/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>

#include <cerrno>
#include <utility>

#include "base/unique_fd.h"

namespace dormouse::ledger {
namespace {

constexpr int kBusyTimeoutMs = 5'000;

// sqlite3_bind_text takes an int; a text of ours is never near that.
constexpr std::size_t kMaxTextBytes = 1U << 20;

Code code_of(int extended) {
  switch (extended) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID: return Code::kAlreadyExists;
    default: break;
  }
  switch (extended & 0xff) {
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG: return Code::kInvalidArgument;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return Code::kDataLoss;
    case SQLITE_PERM:
    case SQLITE_AUTH: return Code::kPermissionDenied;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_INTERRUPT: return Code::kUnavailable;
    default: return Code::kInternal;
  }
}

}  // namespace

Statement::Statement(Statement&& other) noexcept
    : connection_(other.connection_),
      statement_(std::exchange(other.statement_, nullptr)),
      bind_failure_(other.bind_failure_) {}

Statement::~Statement() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

Statement& Statement::bind(int index, std::int64_t value) {
  const int rc = sqlite3_bind_int64(statement_, index, value);
  if (rc != SQLITE_OK) bind_failure_ = rc;
  return *this;
}

Statement& Statement::bind(int index, std::string_view value) {
  if (value.size() > kMaxTextBytes) {
    bind_failure_ = SQLITE_TOOBIG;
    return *this;
  }
  const char* data = value.empty() ? "" : value.data();  // a null pointer would bind NULL
  const int rc = sqlite3_bind_text(statement_, index, data, static_cast<int>(value.size()),
                                   reinterpret_cast<sqlite3_destructor_type>(-1) /* SQLITE_TRANSIENT */);
  if (rc != SQLITE_OK) bind_failure_ = rc;
  return *this;
}

Statement& Statement::bind_optional(int index, const std::optional<std::int64_t>& value) {
  return value.has_value() ? bind(index, *value) : bind_null(index);
}

Statement& Statement::bind_optional(int index, const std::optional<std::string>& value) {
  return value.has_value() ? bind(index, std::string_view(*value)) : bind_null(index);
}

Statement& Statement::bind_null(int index) {
  const int rc = sqlite3_bind_null(statement_, index);
  if (rc != SQLITE_OK) bind_failure_ = rc;
  return *this;
}

Result<bool> Statement::step() {
  if (bind_failure_ != 0) {
    return make_error(bind_failure_ == SQLITE_TOOBIG ? Code::kInvalidArgument : Code::kInternal,
                      std::string("ledger: bind: ") + sqlite3_errstr(bind_failure_));
  }
  const int rc = sqlite3_step(statement_);
  if (rc == SQLITE_ROW) return true;
  if (rc == SQLITE_DONE) return false;
  return connection_->error(sqlite3_sql(statement_));
}

Status Statement::run() {
  TRY([[maybe_unused]] const bool row, step());
  return {};
}

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_, column); }

std::string Statement::text(int column) const {
  const void* data = sqlite3_column_text(statement_, column);
  if (data == nullptr) return {};
  const int bytes = sqlite3_column_bytes(statement_, column);
  return {static_cast<const char*>(data), static_cast<std::size_t>(bytes)};
}

bool Statement::is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

std::optional<std::int64_t> Statement::optional_integer(int column) const {
  if (is_null(column)) return std::nullopt;
  return integer(column);
}

Result<Connection> Connection::open(const std::string& path, Access access) {
  if (access == Access::kReadWrite) {
    // SQLite would make it 0644; -wal and -shm take over the mode of the main file.
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd.is_open()) return errno_error(path, errno);
  }
  Connection connection;
  const int mode = access == Access::kReadWrite ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
  const int rc = sqlite3_open_v2(path.c_str(), &connection.handle_, mode | SQLITE_OPEN_NOMUTEX, nullptr);
  if (rc != SQLITE_OK) return connection.error(path);
  sqlite3_extended_result_codes(connection.handle_, 1);
  sqlite3_busy_timeout(connection.handle_, kBusyTimeoutMs);
  sqlite3_db_config(connection.handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  if (access == Access::kReadOnly) {
    // No checkpoint may ever start here: the writer's connection is the only one (see ledger.h, invariant 1).
    TRY_STATUS(connection.execute("PRAGMA query_only=ON; PRAGMA wal_autocheckpoint=0; PRAGMA trusted_schema=OFF;"
                                  "PRAGMA cache_size=-512;"));
    return connection;
  }
  // cache_size: rows are appended in order and sums touch few pages, so that half a MiB serves as well as SQLite's 2;
  // the whole front door has 15 MB.
  // journal_size_limit: a WAL that grew behind a long read is cut back after the next checkpoint.
  TRY_STATUS(connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                                "PRAGMA wal_autocheckpoint=1000; PRAGMA journal_size_limit=16777216;"
                                "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY;"
                                "PRAGMA cache_size=-512;"));
  return connection;
}

Connection::Connection(Connection&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), statements_(std::move(other.statements_)) {}

Connection::~Connection() {
  if (handle_ == nullptr) return;
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

Result<Statement> Connection::prepare(const char* sql) {
  const auto found = statements_.find(sql);
  if (found != statements_.end()) return Statement(*this, found->second);
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK) {
    return error(sql);
  }
  statements_.emplace(sql, statement);
  return Statement(*this, statement);
}

Status Connection::execute(const std::string& sql) {
  if (sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) return error(sql.substr(0, 60));
  return {};
}

Result<std::int64_t> Connection::query_integer(const char* sql) {
  TRY(Statement statement, prepare(sql));
  TRY(const bool row, statement.step());
  if (!row) return make_error(Code::kNotFound, std::string("ledger: no row: ") + sql);
  return statement.integer(0);
}

int Connection::changes() const { return sqlite3_changes(handle_); }

bool Connection::in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }

void Connection::rollback() noexcept {
  // A full disk or an I/O error rolls back by itself at times; a second ROLLBACK would then be an error to ignore.
  if (in_transaction()) sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
}

Error Connection::error(std::string_view what) const {
  if (handle_ == nullptr) return make_error(Code::kUnavailable, "ledger: out of memory");
  const int extended = sqlite3_extended_errcode(handle_);
  return make_error(code_of(extended), "ledger: " + std::string(what) + ": " + sqlite3_errmsg(handle_) + " (" +
                                           std::to_string(extended) + ")");
}

}  // namespace dormouse::ledger
