// What one currency is worth in another, as somebody said: nothing here is looked up, and what nobody gave is an error,
// never 0 and never 1. Immutable once made. Threads: any.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dormouse::catalog {

class CurrencyRates {
 public:
  // No rates: CNY converts to CNY.
  CurrencyRates() = default;
  // "USD=7.10": one USD is 7.10 of `base`. Errors: kInvalidArgument, naming the pair: no such form, a rate of 0 or with
  // more than six decimals or over kMostRate, one currency twice, the base at other than 1.
  static Result<CurrencyRates> parse(const std::vector<std::string>& pairs, std::string_view base = "CNY");
  // These, and `pairs` in front of them: what the command line says wins over the file. Errors: as parse.
  [[nodiscard]] Result<CurrencyRates> with(const std::vector<std::string>& pairs) const;

  [[nodiscard]] const std::string& base() const { return base_; }
  // Exact, rounded half to even once at the end; from and to the base, and across it. Errors: kInvalidArgument, naming
  // the rate that is missing and how to give it; kTooLarge where the result does not fit.
  [[nodiscard]] Result<std::int64_t> convert(std::int64_t micros, std::string_view from, std::string_view to) const;

  // Of the base for one of another: a thousand times the widest pair of currencies in use.
  static constexpr std::int64_t kMostRate = 1'000'000'000;

 private:
  [[nodiscard]] std::optional<std::int64_t> micros_of(std::string_view currency) const;

  std::string base_ = "CNY";
  std::map<std::string, std::int64_t, std::less<>> micros_;  // of the base, for one of another
};

}  // namespace dormouse::catalog
