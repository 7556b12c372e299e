// What a deployment can run on (`--on t4`) and what that costs: the compiled-in list and the user's own entries.
// Immutable once made. Threads: any.
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

struct InstanceType {
  std::string name;
  std::string title_en;
  std::string title_zh;
  std::string currency;  // empty: it has no price
  std::optional<std::int64_t> hour_micros;
  std::optional<std::int64_t> month_micros;
  std::chrono::milliseconds increment{1'000};
  std::int64_t vram_gb = 0;      // 0: unknown, or none
  double tokens_per_second = 0;  // of one answer; 0: unknown
  std::string source;            // of the price, with its date
  friend bool operator==(const InstanceType&, const InstanceType&) = default;

  // nullopt: no price of that kind.
  [[nodiscard]] std::optional<TimePrice> hourly() const;
  [[nodiscard]] std::optional<TimePrice> monthly() const;  // by the time of a month of kHoursPerMonth
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
  // The cheapest one by the hour that costs and holds more, in the same currency. Null: none.
  [[nodiscard]] const InstanceType* next_larger(std::string_view name) const;

 private:
  std::vector<InstanceType> types_;
};

}  // namespace dormouse::catalog
