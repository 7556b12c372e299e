// A deployment's last hours as a strip: instances' spans and requests painted over each other, cell by cell.
#include <algorithm>
#include <optional>
#include <utility>

#include "base/ids.h"
#include "ledger/reports/select.h"

namespace dormouse::ledger {
namespace {

constexpr std::int64_t kMinCellUs = 1'000'000;
constexpr std::size_t kMaxRequests = 2'000;
// Entries read at most, every deployment's: about 0.2 s.
constexpr std::int64_t kMaxScanned = 50'000;
// Ids begin with the time they were made at, shortly before the reservation was written.
constexpr std::int64_t kIdSlackUs = 600'000'000;

class Canvas {
 public:
  explicit Canvas(const StripQuery& query)
      : begin_us_(query.begin_us),
        end_us_(query.end_us),
        cell_us_(std::max(kMinCellUs, (query.end_us - query.begin_us + kStripCells - 1) / kStripCells)),
        cells_(static_cast<std::size_t>((end_us_ - begin_us_ + cell_us_ - 1) / cell_us_)) {}

  // Every cell the stretch touches. What is later in the order of kinds stays on top.
  void paint(std::int64_t begin_us, std::int64_t end_us, StripKind kind) {
    begin_us = std::max(begin_us, begin_us_);
    end_us = std::min(end_us, end_us_);
    if (begin_us >= end_us) return;
    const auto last = static_cast<std::size_t>((end_us - begin_us_ + cell_us_ - 1) / cell_us_);
    for (auto i = static_cast<std::size_t>((begin_us - begin_us_) / cell_us_); i < last; ++i) {
      if (!cells_[i].has_value() || *cells_[i] < kind) cells_[i] = kind;
    }
  }
  [[nodiscard]] std::vector<StripPiece> pieces() const {
    std::vector<StripPiece> out;
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      if (!cells_[i].has_value()) continue;
      const std::int64_t at_us = begin_us_ + static_cast<std::int64_t>(i) * cell_us_;
      const std::int64_t until_us = std::min(end_us_, at_us + cell_us_);
      const bool goes_on = !out.empty() && out.back().end_us == at_us && out.back().kind == *cells_[i];
      if (goes_on) {
        out.back().end_us = until_us;
      } else {
        out.push_back({at_us, until_us, *cells_[i]});
      }
    }
    return out;
  }

 private:
  std::int64_t begin_us_;
  std::int64_t end_us_;
  std::int64_t cell_us_;
  std::vector<std::optional<StripKind>> cells_;  // nullopt: asleep
};

// An instance that lives is awake until now: what is written of its time is some seconds old.
Status paint_instances(Connection& connection, const StripQuery& query, Canvas& canvas) {
  TRY(Statement select,
      connection.prepare("SELECT s.requested_us, s.down_us IS NULL, coalesce(s.down_after_us, s.alive_us),"
                         " s.ready_after_us FROM instance_spans AS s JOIN deployments AS d ON d.id = s.deployment_id"
                         " WHERE d.name = ?1 AND s.requested_us < ?2"));
  select.bind(1, query.deployment).bind(2, query.end_us);
  while (true) {
    TRY(const bool more, select.step());
    if (!more) return {};
    const std::int64_t begin_us = select.integer(0);
    const std::int64_t end_us = select.integer(1) != 0 ? query.end_us : begin_us + select.integer(2);
    const std::optional<std::int64_t> waking_us = select.optional_integer(3);
    const std::int64_t ready_us = waking_us.has_value() ? std::min(end_us, begin_us + *waking_us) : end_us;
    canvas.paint(begin_us, ready_us, StripKind::kWaking);
    canvas.paint(ready_us, end_us, StripKind::kIdle);
  }
}

// A request that never got to an instance came, and made nothing busy. One that is not settled may still wait.
Status paint_requests(Connection& connection, const StripQuery& query, Canvas& canvas, Strip& out) {
  TRY(Statement select,
      connection.prepare("SELECT d.name, r.at_us, s.instance_id IS NOT NULL, s.queue_us + s.wake_wait_us,"
                         " s.duration_us FROM request_entries AS r JOIN deployments AS d ON d.id = r.deployment_id"
                         " LEFT JOIN request_entries AS s ON s.request_id = r.request_id AND s.kind = 'settle'"
                         " WHERE r.kind = 'reserve' AND r.request_id < ?1 ORDER BY r.request_id DESC"));
  select.bind(1, uuid_v7_bound({query.end_us + kIdSlackUs}));
  out.complete_since_us = query.begin_us;
  for (std::int64_t scanned = 0;; ++scanned) {
    TRY(const bool more, select.step());
    if (!more) return {};
    const std::int64_t at_us = select.integer(1);
    if (at_us < query.begin_us - kIdSlackUs) return {};
    if (scanned == kMaxScanned) {
      out.complete_since_us = std::max(query.begin_us, at_us);
      return {};
    }
    if (at_us >= query.end_us || select.text(0) != query.deployment) continue;
    if (select.integer(2) != 0) canvas.paint(at_us + select.integer(3), at_us + select.integer(4), StripKind::kBusy);
    if (at_us >= query.begin_us && out.requests_us.size() < kMaxRequests) out.requests_us.push_back(at_us);
  }
}

}  // namespace

Result<Strip> select_strip(Connection& connection, const StripQuery& query) {
  if (query.begin_us < 0 || query.end_us <= query.begin_us || query.end_us > INT64_MAX - kIdSlackUs) {
    return make_error(Code::kInvalidArgument, "hours: an empty period");
  }
  Strip out;
  Canvas canvas(query);
  TRY_STATUS(paint_instances(connection, query, canvas));
  TRY_STATUS(paint_requests(connection, query, canvas, out));
  std::sort(out.requests_us.begin(), out.requests_us.end());
  out.pieces = canvas.pieces();
  return out;
}

}  // namespace dormouse::ledger
