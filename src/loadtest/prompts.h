// What the requests of a load test ask. PURE: the same seed and number give the same text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dormouse::loadtest {

class Prompts {
 public:
  // kFresh: no two begin alike, so that a server's prefix cache has nothing to find (beyond the chat template's own
  // words). kSame: all ask one made-up prompt, or the given lines as they are.
  enum class Beginning { kFresh, kSame };

  Prompts(std::uint64_t seed, Beginning beginning) : seed_(seed), beginning_(beginning) {}
  // Lines to ask, one after the other and over again; none: plain words are made up.
  void use(std::vector<std::string> lines) { lines_ = std::move(lines); }

  // Of request `number`. Made-up prompts have `words` words, each one token in most vocabularies; how many there really
  // were, the server's usage says.
  [[nodiscard]] std::string text(std::int64_t number, std::int64_t words) const;

 private:
  std::uint64_t seed_;
  Beginning beginning_;
  std::vector<std::string> lines_;
};

}  // namespace dormouse::loadtest
