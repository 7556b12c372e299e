// T-61: can somebody without a key tell by the clock whether a kid exists? Rounds with a ring of new keys each, in a
// round the kinds in random order. Of each pair of kinds: the mean over the rounds of the difference of their medians,
// and Student's t of it; below 4.5 is what leakage assessments call no separation. (Within a round the difference says
// which places of the tree these keys have, not which kind they are: two kinds with the very same path differ as much.)
// Argument: samples a kind, 1,000,000. Not a test: a busy machine has noise.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <random>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "gateway/keys/key_format.h"
#include "gateway/keys/key_ring.h"

namespace dormouse::gateway {
namespace {

constexpr std::array kKinds = {"unknown kid", "wrong secret", "wrong secret of a revoked", "right key"};
constexpr std::size_t kKeys = 32;  // of a kind: few enough to stay in the caches
constexpr std::size_t kRounds = 200;

template <typename T>
using PerKind = std::array<T, kKinds.size()>;

std::string make(KeyRing& ring) {
  KeyWish wish;
  wish.name = "k";
  KeyDraft draft = ring.draft_create(wish, nullptr).value();
  ring.adopt(draft.write.rows);
  return draft.key;
}

// Made before anything is measured: what making one leaves in the caches would be measured too.
PerKind<std::vector<std::string>> make_keys(KeyRing& ring) {
  PerKind<std::vector<std::string>> out;
  for (std::size_t i = 0; i < kKeys; ++i) {
    const std::string good = make(ring);
    const std::string revoked = make(ring);
    ring.adopt(ring.draft_revoke(*kid_of(revoked), Children::kKeep, nullptr)->write.rows);
    out[0].push_back(make_key(Scope::kInference, make_kid()));
    out[1].push_back(make_key(Scope::kInference, *kid_of(good)));
    out[2].push_back(make_key(Scope::kInference, *kid_of(revoked)));
    out[3].push_back(make(ring));  // not `good`: rows that are let in too are seen twice as often
  }
  return out;
}

PerKind<double> medians_ns(KeyRing& ring, std::size_t samples, std::mt19937_64& random) {
  const PerKind<std::vector<std::string>> keys = make_keys(ring);
  PerKind<std::vector<double>> times;
  for (std::size_t i = 0; i < samples * kKinds.size(); ++i) {
    const std::size_t kind = random() % kKinds.size();
    const std::string& key = keys[kind][random() % kKeys];
    const auto begin = std::chrono::steady_clock::now();
    const KeyVerdict verdict = ring.verify(key);
    const auto end = std::chrono::steady_clock::now();
    if ((verdict.caller != nullptr) != (kind == 3)) fmt::print("wrong verdict\n");
    times[kind].push_back(std::chrono::duration<double, std::nano>(end - begin).count());
  }
  PerKind<double> out{};
  for (std::size_t k = 0; k < kKinds.size(); ++k) {
    const auto middle = times[k].begin() + static_cast<std::ptrdiff_t>(times[k].size() / 2);
    std::nth_element(times[k].begin(), middle, times[k].end());
    out[k] = *middle;
  }
  return out;
}

void compare(const std::vector<PerKind<double>>& rounds, std::size_t a, std::size_t b) {
  const auto n = static_cast<double>(rounds.size());
  double mean = 0;
  double variance = 0;
  for (const PerKind<double>& round : rounds) mean += (round[a] - round[b]) / n;
  for (const PerKind<double>& round : rounds) {
    variance += std::pow(round[a] - round[b] - mean, 2) / (n - 1);
  }
  fmt::print("{:<12} - {:<26} {:7.1f} ns  t {:6.2f}\n", kKinds[a], kKinds[b], mean, mean / std::sqrt(variance / n));
}

void run(std::size_t samples) {
  const SystemClock clock;
  const std::filesystem::path directory = std::filesystem::temp_directory_path() / ("key_ring_bench-" + random_hex(4));
  std::filesystem::create_directories(directory);
  std::mt19937_64 random(1);
  std::vector<PerKind<double>> rounds;
  for (std::size_t round = 0; round < kRounds; ++round) {
    KeyRing ring = KeyRing::open(clock, (directory / "keys.pepper").string(), {}).value();
    rounds.push_back(medians_ns(ring, samples / kRounds, random));
  }
  std::filesystem::remove_all(directory);
  for (std::size_t k = 0; k < kKinds.size(); ++k) {
    double mean = 0;
    for (const PerKind<double>& round : rounds) mean += round[k] / static_cast<double>(rounds.size());
    fmt::print("{:<26} {:7.1f} ns\n", kKinds[k], mean);
  }
  compare(rounds, 0, 1);
  compare(rounds, 0, 2);
  compare(rounds, 1, 2);
}

}  // namespace
}  // namespace dormouse::gateway

int main(int argc, char** argv) {
  std::size_t samples = 1'000'000;
  const std::string_view text = argc > 1 ? argv[1] : "1000000";
  std::from_chars(text.data(), text.data() + text.size(), samples);
  dormouse::gateway::run(std::max<std::size_t>(samples, 100'000));
  return 0;
}
