// The ledger: every promise about money and instances' lives, durable before it is acted upon.
// Owner: apps (one per data directory). Threads: every method may be called from any thread and returns at once; the
// work happens on the ledger's writer thread (group commit) or reader thread; answers come through `Options::post`.
// Invariants (docs/ledger.md):
//  1. One connection of one thread writes and checkpoints; readers are read-only (SQLite 3.40.1's WAL-reset race needs
//     two that write).
//  2. A callback with success means: fsynced. Each callback is called exactly once, also on shutdown.
//  3. Request entries are append-only and unique per (request, kind); a settle needs its reservation and happens once.
//  4. Wall times never decrease from one commit to the next, whatever the system clock does.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "ledger/keys.h"
#include "ledger/records.h"
#include "ledger/report_records.h"

namespace dormouse::ledger {

using Done = std::function<void(Status)>;
template <typename T>
using Answer = std::function<void(Result<T>)>;

struct Options {
  std::string path;              // DIR/ledger.db; the directory exists. The ballast lies beside it.
  const Clock* clock = nullptr;  // outlives the ledger; used from its threads
  // Runs a closure on the caller's loop: `[&io](auto f) { asio::post(io, std::move(f)); }`. Called from the ledger's
  // threads. Empty: callbacks run on the ledger's own thread.
  std::function<void(std::function<void()>)> post;
  std::size_t max_queued = 4'096;         // commands; past it kOverloaded. Settlements are never refused.
  std::int64_t ballast_bytes = 16 << 20;  // released when the disk is full, so that running requests can settle
  // Up to this size integrity is checked before open() returns (16 MiB: 0.1 s); above it on the reader's thread while
  // serving: a restart has to answer within half a second, whatever has been billed since.
  std::int64_t check_at_open_bytes = 16 << 20;
};

// What recovery found and did at start.
struct Recovery {
  std::int64_t interrupted_requests = 0;  // open reservations settled
  std::int64_t unclosed_requests = 0;     // settled ones whose last bytes may not have left: what they held is refunded
  std::int64_t closed_spans = 0;          // open spans ended at the last known time
  std::vector<Survivor> survivors;        // open spans left open, by epoch: whoever starts instances ends them
  std::int64_t migrations_applied = 0;
};

struct Health {
  bool writable = true;  // the last commit succeeded
  bool damaged = false;  // found by the check while serving: nothing new is accepted, what runs may settle
  std::int64_t queued = 0;
  std::int64_t unsettled_retries = 0;  // settlements kept in memory until the disk takes them
  std::uint64_t commits = 0;
  std::uint64_t commands = 0;  // committed; commands / commits = the group's mean size
};

class Ledger {
 public:
  // Opens or creates, checks integrity, migrates, recovers: blocking, before the loop runs.
  // Errors: kDataLoss (integrity), kInvalidArgument (written by a newer version), kAlreadyExists (another process has
  // it), kUnavailable (disk full, I/O), kPermissionDenied.
  static Result<std::unique_ptr<Ledger>> open(Options options);
  // Commits what is queued, then stops both threads; every callback has been called or posted.
  ~Ledger();
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  [[nodiscard]] const Recovery& recovery() const;
  // As they were at open(): what the fleet starts from.
  [[nodiscard]] const std::vector<Deployment>& deployments_at_start() const;
  [[nodiscard]] const std::vector<ApiKey>& keys_at_start() const;
  [[nodiscard]] Health health() const;

  // Errors of all below: kUnavailable (disk full or I/O: HTTP's ledger_unavailable), kOverloaded (queue full),
  // kCancelled (closing).
  void put_deployment(Deployment deployment, Done done);  // insert or change, by name
  void remove_deployment(std::string name, Done done);    // kNotFound. Its history stays.

  void put_keys(KeyWrite write, Done done);  // insert or change, by kid; with its audit line
  void record_key_use(std::vector<KeyUse> uses, Done done);

  void record_intent(StartIntent intent, Done done);  // kNotFound (deployment), kAlreadyExists (instance or epoch)
  void record_span(SpanEvent event, Done done);       // kNotFound (no intent); a phase already written is left as it is
  // Also moves the ledger's last known time: call it every 10 s while anything is awake.
  void record_progress(std::vector<SpanProgress> progress, Done done);

  void reserve(Reservation reservation, Done done);   // kNotFound (deployment), kAlreadyExists (request id)
  void checkpoint(Checkpoint checkpoint, Done done);  // kNotFound (not open). Never goes backwards.
  // kNotFound (no reservation), kAlreadyExists (settled before: nothing changed). kUnavailable: kept in memory and
  // tried again until the disk takes it; the caller need not and must not repeat it.
  void settle(Settlement settlement, Done done);
  // For a settlement with closing_follows. Written: recorded with the next commit, a second later at most; what dies
  // before it is refunded. Not written: refunded now. kNotFound (not open), kInvalidArgument (not settled).
  void close(Closing closing, Done done);

  // The version under which this price is known. A price that was known before keeps its version.
  void put_price(Price price, Answer<std::int64_t> answer);
  void put_advice(AdviceRecord advice, Done done);  // a period's stands: again, nothing happens
  void book_fee(Fee fee, Done done);  // kNotFound (deployment). One a deployment and month; again: nothing happens
  void record_refusals(std::vector<RefusalCount> refusals, Done done);  // added to what is there

  // Settled since `begin_us`, to the quarter of an hour.
  void spend_since(std::int64_t begin_us, Answer<std::vector<Spend>> answer);
  // One step of retention, milliseconds long: single requests and refusals of days before `before_us` go, quarters of
  // an hour become the days of `zone`, whose sums stay. Again with the cursor it answers, until that is_done().
  void compact(std::int64_t before_us, TimeZone zone, CompactCursor cursor, Answer<CompactCursor> answer);

  void list_deployments(Answer<std::vector<Deployment>> answer);
  void usage(UsageQuery query, Answer<UsageReport> answer);
  void errors(ErrorQuery query, Answer<std::vector<ErrorRow>> answer);    // most frequent first
  void refusals(ErrorQuery query, Answer<std::vector<ErrorRow>> answer);  // likewise
  void bill(BillQuery query, Answer<Bill> answer);                        // kInvalidArgument (no such month)
  void focus(BillQuery query, Answer<std::vector<FocusCharge>> answer);   // also kTooLarge (over 200'000 rows)
  void costs(CostQuery query, Answer<std::vector<CostRow>> answer);
  void strip(StripQuery query, Answer<Strip> answer);  // kInvalidArgument (an empty period)
  void spans(std::string deployment, std::int64_t max_rows, Answer<std::vector<Span>> answer);  // newest first
  void request_page(RequestQuery query, Answer<RequestPage> answer);                            // newest first
  // Reads every entry of the period, whichever deployment's: ask day by day where a report must not wait for seconds.
  void workload(WorkloadQuery query, Answer<MeasuredWorkload> answer);
  void advice(AdviceQuery query, Answer<std::vector<AdviceRecord>> answer);  // newest period first

 private:
  struct Impl;
  explicit Ledger(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dormouse::ledger
