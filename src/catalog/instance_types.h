// What a deployment can run on (`--on t4`) and what that costs: the compiled-in list and the user's own entries.
// Immutable once made. Threads: any. Money: micro-units of the entry's own currency; of two currencies see
// catalog/currency_rates.h. What an entry does not say is unknown, never free.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/money.h"
#include "base/result.h"
#include "catalog/toml.h"

namespace dormouse::catalog {

// Hours of a month as prices mean it: 8,760 / 12.
inline constexpr std::int64_t kHoursPerMonth = 730;

enum class Paid { kYes, kNo };
// kPrepaid: an increment is paid when it begins, so staying to its end is free.
enum class Increment { kArrears, kPrepaid };
enum class SpeedSource { kAssumed, kMeasured };

struct InstanceType {
  std::string name;
  std::string title_en;
  std::string title_zh;
  std::string provider;  // whose list the price is of; empty: the user's own
  std::string size;      // "small", "medium", "large"; empty: not said
  std::string suits_en;  // what it is enough for
  std::string suits_zh;

  std::int64_t vram_gb = 0;      // 0: unknown, or none
  std::int64_t ram_gb = 0;       // likewise
  double bandwidth_gbs = 0;      // of its memory, by the data sheet; 0: unknown
  double fp16_tflops = 0;        // dense, by the data sheet; 0: unknown
  double tokens_per_second = 0;  // of one answer; 0: unknown
  SpeedSource speed_source = SpeedSource::kAssumed;

  std::string currency;  // empty: it has no price
  std::optional<std::int64_t> hour_micros;
  std::optional<std::int64_t> month_micros;
  std::optional<std::int64_t> spot_hour_micros;     // at most the hour's
  std::optional<std::int64_t> stopped_hour_micros;  // while it is stopped; nullopt: nothing is known, 0: free
  // Paid each month whatever runs: of an owned card, what it cost over its life. `hour_micros` is its electricity then.
  std::optional<std::int64_t> fixed_month_micros;
  std::chrono::milliseconds increment{1'000};
  Increment increment_kind = Increment::kArrears;
  std::chrono::milliseconds minimum{0};          // of each session
  Paid boot = Paid::kYes;                        // from its start to its readiness
  Paid idle = Paid::kYes;                        // awake with nothing to do
  std::optional<double> interruptions_per_hour;  // of a spot machine; nullopt: nothing is known
  std::optional<double> resume_failure;          // share of wakes that find no machine, 0..1; nullopt: nothing is known
  std::string source;                            // of the price
  std::string date;                              // of the source: "2026-05-24", "2026-05", "2026", or "undated"
  friend bool operator==(const InstanceType&, const InstanceType&) = default;

  // nullopt: no price of that kind.
  [[nodiscard]] std::optional<TimePrice> hourly() const;
  [[nodiscard]] std::optional<TimePrice> monthly() const;  // by the time of a month of kHoursPerMonth
  // "小型", "中型", "大型", or nothing.
  [[nodiscard]] std::string_view size_zh() const;
  // Source and date as one text; empty: neither was given.
  [[nodiscard]] std::string provenance() const;
};

class InstanceTypes {
 public:
  // Errors: kInvalidArgument, naming the entry and the key.
  static Result<InstanceTypes> parse(std::string_view toml, std::string_view what);
  static Result<InstanceTypes> from_entries(const std::vector<TomlTable>& entries, std::string_view what);
  static Result<InstanceTypes> built_in();
  // One of a name that is there replaces it.
  void put(InstanceType type);

  // Null: nobody knows it; it then has no price.
  [[nodiscard]] const InstanceType* find(std::string_view name) const;
  [[nodiscard]] const std::vector<InstanceType>& all() const { return types_; }
  [[nodiscard]] std::string names() const;  // "t4, a10, ...", for messages
  // The cheapest one by the hour of the same provider that costs more and holds as much, in the same currency; none
  // that would have to be bought. Null: none.
  [[nodiscard]] const InstanceType* next_larger(std::string_view name) const;

 private:
  std::vector<InstanceType> types_;
};

}  // namespace dormouse::catalog
