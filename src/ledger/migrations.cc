#include "ledger/migrations.h"

#include "base/check.h"
#include "base/crashpoint.h"

namespace dormouse::ledger {
namespace {

constexpr const char* kTable =
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    " version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_us INTEGER NOT NULL) STRICT";

Status apply(Connection& connection, const Migration& migration, std::int64_t wall_us) {
  TRY_STATUS(connection.execute("BEGIN IMMEDIATE"));
  TRY_STATUS(connection.execute(migration.sql));
  crashpoint("ledger.mid_migration");
  TRY(Statement insert, connection.prepare("INSERT INTO schema_migrations VALUES (?1, ?2, ?3)"));
  TRY_STATUS(insert.bind(1, std::int64_t{migration.version}).bind(2, migration.name).bind(3, wall_us).run());
  TRY_STATUS(connection.execute("COMMIT"));
  crashpoint("ledger.after_migration");
  return {};
}

// The steps taken so far must be the beginning of our list.
Result<std::size_t> count_applied(Connection& connection, std::span<const Migration> migrations) {
  TRY(Statement select, connection.prepare("SELECT version, name FROM schema_migrations ORDER BY version"));
  std::size_t applied = 0;
  while (true) {
    TRY(const bool row, select.step());
    if (!row) return applied;
    const std::int64_t version = select.integer(0);
    if (applied >= migrations.size()) {
      return make_error(Code::kInvalidArgument,
                        "ledger: schema version " + std::to_string(version) + " is newer than this program's " +
                            std::to_string(migrations.size()) + ": use the newer dormouse");
    }
    const Migration& expected = migrations[applied];
    if (version != expected.version || select.text(1) != expected.name) {
      return make_error(Code::kDataLoss, "ledger: migration " + std::to_string(version) + " is '" + select.text(1) +
                                             "', want '" + expected.name + "'");
    }
    ++applied;
  }
}

}  // namespace

Result<std::int64_t> migrate(Connection& connection, std::span<const Migration> migrations, std::int64_t wall_us) {
  TRY_STATUS(connection.execute(kTable));
  TRY(const std::size_t applied, count_applied(connection, migrations));
  for (std::size_t i = applied; i < migrations.size(); ++i) {
    CHECK(migrations[i].version == static_cast<int>(i) + 1);
    Status status = apply(connection, migrations[i], wall_us);
    if (!status.has_value()) {
      connection.rollback();
      return std::move(status).error();
    }
  }
  return static_cast<std::int64_t>(migrations.size() - applied);
}

}  // namespace dormouse::ledger
