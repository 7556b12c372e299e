// Holds a sequence of tokens to a grammar: which token may come next, as one bit each; whether the text may end here.
//
//   auto matcher = std::make_shared<Matcher>(grammar, trie);   // one a grammar, shared by its sequences
//   Constraint c(matcher);                                     // one a sequence; copying it is keeping a place
//   TRY(const TokenMask mask, c.mask());  ...sample...  TRY_STATUS(c.accept(token));
//
// A Matcher follows the grammar with all the places it could be in at once (sets of stacks), gives each set a number
// when it is first met and remembers where each class of bytes leads from it: what has been seen before costs one look
// per byte. The mask of a set is one walk over the vocabulary's tree, pruned where nothing can follow, and is kept.
// A set is cut off at kMaxPlaces places: each of those kept can be brought to an end (grammar.h), so an answer that
// follows them is still one of the grammar's.
// Owner and threads: one thread for a Matcher and all its Constraints (the engine's); made and destroyed anywhere.
// Bounds: memory by kMaxMatcherWords and kMaxMasks (dropped and made anew), time of one call by kMaxWork.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "grammar/grammar.h"
#include "grammar/token_trie.h"

namespace dormouse::grammar {

inline constexpr std::size_t kMaxPlaces = 4096;
inline constexpr std::size_t kMaxMatcherWords = 1U << 20;  // of 4 bytes
inline constexpr std::size_t kMaxMasks = 256;              // 19 KiB each at 151,936 tokens
// Words of stacks looked at in one call that meets new sets: about 50 ms, several hundred times what a schema of a
// hundred properties takes. Over it the call is refused, and the sequence ends.
inline constexpr std::size_t kMaxWork = 4U << 20;

// Bit `id % 64` of word `id / 64`. Valid until the matcher's next mask() or accept().
using TokenMask = std::span<const std::uint64_t>;
[[nodiscard]] inline bool is_allowed(TokenMask mask, TokenId token) {
  const auto id = static_cast<std::size_t>(token);
  return id / 64 < mask.size() && (mask[id / 64] >> (id % 64) & 1) != 0;
}

class Matcher {
 public:
  // `trie` outlives it.
  Matcher(std::shared_ptr<const Grammar> grammar, const TokenTrie& trie);

 private:
  friend class Constraint;
  using StateId = std::uint32_t;
  using Words = std::vector<std::uint32_t>;  // a place: the nodes to return to, outermost first, then the node itself
  static constexpr StateId kDead = 0;
  static constexpr StateId kUnknown = ~StateId{0};

  // 1, or 0 where the text may not end, then each place behind its length; sorted.
  struct State {
    const Words* places = nullptr;  // the key in ids_
    std::vector<StateId> next;      // [classes]
    StateId alike = kUnknown;       // one with the same mask
  };
  struct Hash {
    std::size_t operator()(const Words& words) const;
  };
  struct Mask {
    std::vector<std::uint64_t> bits;
    std::uint64_t last_use = 0;
  };

  [[nodiscard]] StateId intern(Words key);
  [[nodiscard]] StateId start();
  [[nodiscard]] StateId step(StateId state, std::uint8_t byte);
  [[nodiscard]] StateId close(std::vector<Words> places);
  bool call(const Edge& edge, Words& place) const;
  // Places far enough from the end of a counted repetition that no token reaches it share their mask: of a string of at
  // most 2,000 characters, all but the last hundred or so.
  [[nodiscard]] StateId alike(StateId state);
  [[nodiscard]] Result<TokenMask> mask(StateId state);
  Status walk(StateId state, std::vector<std::uint64_t>& bits);
  [[nodiscard]] bool may_end(StateId state) const { return states_[state].places->front() != 0; }
  // Whether a byte may follow.
  [[nodiscard]] bool may_go_on(StateId state) const { return states_[state].places->size() > 1; }
  void begin_call();

  const std::shared_ptr<const Grammar> grammar_;
  const TokenTrie& trie_;
  std::unordered_map<Words, StateId, Hash> ids_;
  std::vector<State> states_;
  std::unordered_map<StateId, Mask> masks_;
  std::vector<StateId> path_;  // of a walk: the state after each byte
  std::size_t words_ = 0;      // kept
  std::size_t work_ = 0;       // of this call
  std::uint64_t calls_ = 0;
  std::uint64_t generation_ = 0;  // state numbers are of one generation
};

class Constraint {
 public:
  explicit Constraint(std::shared_ptr<Matcher> matcher);

  // Never empty unless the vocabulary lacks bytes or the answer is complete: whoever gets an empty one ends the
  // sequence. Errors: kTooLarge (kMaxWork): so does whoever gets this one.
  Result<TokenMask> mask();
  // Errors: kInvalidArgument (mask() does not allow it): nothing has changed; kTooLarge.
  Status accept(TokenId token);
  [[nodiscard]] bool may_end();
  // The text is whole and nothing may follow it, or an end token was accepted.
  [[nodiscard]] bool is_finished();

 private:
  [[nodiscard]] Matcher::StateId state();

  std::shared_ptr<Matcher> matcher_;
  Matcher::Words places_;  // what the state is, for when the matcher has forgotten its number
  Matcher::StateId state_ = 0;
  std::uint64_t generation_ = 0;
  bool ended_ = false;
};

}  // namespace dormouse::grammar
