// The ledger's writes, one function a command, inside whatever transaction the caller has open; and recovery at start.
// No threads, no queue: the writer (writer.h) owns one of these. Tests drive it directly.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "ledger/keys.h"
#include "ledger/ledger.h"
#include "ledger/records.h"
#include "ledger/sqlite.h"

namespace dormouse::ledger {

struct RemoveDeployment {
  std::string name;
};

struct PutPrice {
  Price price;
  std::shared_ptr<std::int64_t> version;  // written by apply()
};

// One step of retention: single requests and refusals of days before `before_us` go, quarters become days.
struct Compact {
  std::int64_t before_us = 0;
  TimeZone zone;                          // whose days
  std::shared_ptr<CompactCursor> cursor;  // moved by apply()
};

using Body = std::variant<Deployment, RemoveDeployment, StartIntent, SpanEvent, std::vector<SpanProgress>, Reservation,
                          Checkpoint, Settlement, Closing, PutPrice, Fee, std::vector<RefusalCount>, KeyWrite,
                          std::vector<KeyUse>, Compact, AdviceRecord>;

// Checked before queueing, so that one bad command never fails a group. Errors: kInvalidArgument.
Status validate(const Body& body);
// A settlement or a span's event states what has happened: it must land, if need be later.
[[nodiscard]] bool must_land(const Body& body);
// Nobody waits for it, and losing it errs in the customer's favour: it goes with the next commit, or a second later.
[[nodiscard]] bool is_lazy(const Body& body);
// After one of these the transaction is of no use; every other error concerns its own command only.
[[nodiscard]] bool is_fatal(const Error& error);

class Store {
 public:
  // Opens, checks integrity, migrates, settles what was left open. Errors: as Ledger::open.
  // `check_bytes`: a larger file is not checked here (is_checked() is then false).
  static Result<Store> open(const std::string& path, WallTime now, std::int64_t check_bytes);

  [[nodiscard]] bool is_checked() const { return checked_; }
  [[nodiscard]] const Recovery& recovery() const { return recovery_; }
  Result<std::vector<Deployment>> deployments();
  Result<std::vector<ApiKey>> keys() { return select_keys(connection_); }

  Status begin();
  // Errors: those of Ledger's method, or is_fatal().
  Status apply(const Body& body, WallTime at);
  // Writes the last known time and commits. `jump_us`: how far the wall clock strayed from the boot clock since the
  // last commit; beyond 5 s an audit row says so (requirement R-30).
  Status commit(WallTime now, std::int64_t jump_us);
  void rollback() noexcept;
  // Empties the WAL into the database file: at a clean end.
  void checkpoint_wal() noexcept;

 private:
  explicit Store(Connection connection) : connection_(std::move(connection)) {}
  Status recover(WallTime now);
  Result<std::vector<Survivor>> survivors(WallTime now);
  // Wall time that never goes back.
  std::int64_t clamp(WallTime at);

  Status write(const Deployment& deployment, std::int64_t at_us);
  Status write(const RemoveDeployment& removal, std::int64_t at_us);
  Status write(const StartIntent& intent, std::int64_t at_us);
  Status write(const SpanEvent& event, std::int64_t at_us);
  Status write(const std::vector<SpanProgress>& progress, std::int64_t at_us);
  Status write(const Reservation& reservation, std::int64_t at_us);
  Status write(const Checkpoint& checkpoint, std::int64_t at_us);
  Status write(const Settlement& settlement, std::int64_t at_us);
  Status write(const Closing& closing, std::int64_t at_us);
  Status write(const PutPrice& put, std::int64_t at_us);
  Status write(const Fee& fee, std::int64_t at_us);
  Status write(const std::vector<RefusalCount>& refusals, std::int64_t at_us);
  Status write(const KeyWrite& write, std::int64_t at_us);
  Status write(const std::vector<KeyUse>& uses, std::int64_t at_us);
  Status write(const Compact& wish, std::int64_t at_us);
  Status write(const AdviceRecord& advice, std::int64_t at_us);
  Result<std::int64_t> deployment_id(const std::string& name);

  struct OpenRow {
    std::int64_t deployment_id = 0;
    std::string key_id;
    bool is_closing = false;
    std::int64_t delivered_tokens = 0;  // at the last checkpoint, or before the closing bytes
  };
  Result<OpenRow> open_row(const std::string& request_id);
  Status close_row(const std::string& request_id);
  Status insert_settlement(const Settlement& settlement, std::int64_t at_us);
  Status refund(const std::string& request_id, const OpenRow& open, std::int64_t at_us);
  Status recover_requests();
  // False: it stands for another request.
  Result<bool> claim(const Reservation& reservation, std::int64_t at_us);
  // Counts what a span's time was spent on since it was last heard of, and by which quarter.
  Status advance_span(const SpanProgress& progress, std::int64_t at_us);
  Status begin_span(const SpanEvent& event, std::int64_t at_us);
  Status audit(std::string_view kind, const std::string& detail);

  Connection connection_;
  Recovery recovery_;
  bool checked_ = false;
  std::int64_t last_wall_us_ = 0;
};

// SELECT of the deployments that are; also used by the reader.
Result<std::vector<Deployment>> select_deployments(Connection& connection);

// Reads every page. Errors: kDataLoss with what was found.
Status check_integrity(Connection& connection);

[[nodiscard]] std::string_view to_string(Outcome outcome);
[[nodiscard]] Outcome outcome_of(std::string_view text);

}  // namespace dormouse::ledger
