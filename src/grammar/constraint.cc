#include "grammar/constraint.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

namespace dormouse::grammar {
namespace {

Error too_much_work() {
  return make_error(Code::kTooLarge, "grammar: too ambiguous to follow: a step takes more than its share of time");
}

std::vector<std::uint32_t> key_of(bool may_end, const std::set<std::vector<std::uint32_t>>& places) {
  std::vector<std::uint32_t> key{may_end ? 1U : 0U};
  for (const std::vector<std::uint32_t>& place : places) {
    key.push_back(static_cast<std::uint32_t>(place.size()));
    key.insert(key.end(), place.begin(), place.end());
  }
  return key;
}

}  // namespace

std::size_t Matcher::Hash::operator()(const Words& words) const {
  std::uint64_t hash = 0xCBF29CE484222325ULL;  // FNV-1a, by words
  for (const std::uint32_t word : words) hash = (hash ^ word) * 0x100000001B3ULL;
  return static_cast<std::size_t>(hash ^ (hash >> 29));
}

Matcher::Matcher(std::shared_ptr<const Grammar> grammar, const TokenTrie& trie)
    : grammar_(std::move(grammar)), trie_(trie), path_(trie.max_depth() + 1) {
  static_cast<void>(intern({0}));  // kDead
}

Matcher::StateId Matcher::intern(Words key) {
  const auto [entry, is_new] = ids_.try_emplace(std::move(key), static_cast<StateId>(states_.size()));
  if (is_new) {
    // Where nothing can follow no byte leads on.
    const StateId next = entry->first.size() == 1 ? kDead : kUnknown;
    states_.push_back({.places = &entry->first, .next = std::vector<StateId>(grammar_->class_count(), next)});
    words_ += entry->first.size() + grammar_->class_count() + 24;  // and what a node of the map takes
  }
  return entry->second;
}

Matcher::StateId Matcher::start() {
  return close({{grammar_->start()}});
}

// Into a rule. False: it could not be finished within the frames there are.
bool Matcher::call(const Edge& edge, Words& place) const {
  place.pop_back();
  if (!edge.is_last) place.push_back(edge.target);
  const auto fits = [](std::size_t frames, std::uint32_t needed) {
    return needed <= kMaxFrames && frames + needed <= kMaxFrames;
  };
  if (!fits(place.size(), grammar_->frames_needed(edge.callee))) return false;
  if (!edge.is_last && !fits(place.size() - 1, grammar_->frames_needed(edge.target))) return false;
  place.push_back(edge.callee);
  return true;
}

// The state of all places reached from these without a byte, at which a byte can be taken.
Matcher::StateId Matcher::close(std::vector<Words> places) {
  std::set<Words> seen;
  std::vector<const Words*> work;
  const auto reach = [&](Words place) {
    work_ += place.size() + 4;
    if (seen.size() >= kMaxPlaces) return;
    const auto [entry, is_new] = seen.insert(std::move(place));
    if (is_new) work.push_back(&*entry);
  };
  const auto has_room = [this](const Words& place, NodeId node) {
    const std::uint32_t needed = grammar_->frames_needed(node);
    return needed <= kMaxFrames && place.size() - 1 + needed <= kMaxFrames;
  };
  for (Words& place : places) {
    if (has_room(place, place.back())) reach(std::move(place));
  }
  bool may_end = false;
  std::set<Words> kept;
  while (!work.empty() && work_ <= kMaxWork) {
    const Words& place = *work.back();
    work.pop_back();
    const NodeId node = place.back();
    if (grammar_->accepts(node)) {
      may_end = may_end || place.size() == 1;
      if (place.size() > 1) reach(Words(place.begin(), place.end() - 1));
    }
    bool takes_a_byte = false;
    for (const Edge& edge : grammar_->edges(node)) {
      if (edge.kind == Edge::Kind::kByte) {
        takes_a_byte = true;
        continue;
      }
      Words next = place;
      if (edge.kind == Edge::Kind::kEmpty) {
        next.back() = edge.target;
        if (has_room(next, edge.target)) reach(std::move(next));
      } else if (call(edge, next)) {
        reach(std::move(next));
      }
    }
    if (takes_a_byte) kept.insert(place);
  }
  return intern(key_of(may_end, kept));
}

Matcher::StateId Matcher::step(StateId from, std::uint8_t byte) {
  const std::size_t byte_class = grammar_->class_of(byte);
  const StateId known = states_[from].next[byte_class];
  if (known != kUnknown) return known;
  std::vector<Words> places;
  const Words& key = *states_[from].places;
  for (std::size_t i = 1; i < key.size(); i += key[i] + 1) {
    const auto begin = key.begin() + static_cast<std::ptrdiff_t>(i) + 1;
    const auto end = begin + static_cast<std::ptrdiff_t>(key[i]);
    work_ += key[i] + 1;
    for (const Edge& edge : grammar_->edges(*(end - 1))) {
      work_ += 1;
      if (edge.kind != Edge::Kind::kByte || byte < edge.low || byte > edge.high) continue;
      places.emplace_back(begin, end).back() = edge.target;
    }
  }
  const StateId to = places.empty() ? kDead : close(std::move(places));
  // What was cut short by kMaxWork is not known; the caller sees that and refuses.
  if (work_ <= kMaxWork) states_[from].next[byte_class] = to;
  return to;
}

Status Matcher::walk(StateId state, std::vector<std::uint64_t>& bits) {
  const std::span<const TokenTrie::Node> nodes = trie_.nodes();
  const std::span<const TokenId> tokens = trie_.tokens();
  path_[0] = state;
  for (std::size_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    const StateId next = step(path_[node.depth - 1U], node.byte);
    if (work_ > kMaxWork) return too_much_work();
    if (next == kDead) {
      i = node.subtree_end;
      continue;
    }
    path_[node.depth] = next;
    for (std::size_t t = node.tokens_begin; t < node.tokens_end; ++t) {
      const auto id = static_cast<std::size_t>(tokens[t]);
      bits[id / 64] |= std::uint64_t{1} << (id % 64);
    }
    ++i;
  }
  return {};
}

Matcher::StateId Matcher::alike(StateId state) {
  if (states_[state].alike != kUnknown) return states_[state].alike;
  const Words& key = *states_[state].places;
  const auto reach = static_cast<std::uint32_t>(trie_.max_depth());
  std::set<Words> places;
  for (std::size_t i = 1; i < key.size(); i += key[i] + 1) {
    const auto begin = key.begin() + static_cast<std::ptrdiff_t>(i) + 1;
    Words place(begin, begin + static_cast<std::ptrdiff_t>(key[i]));
    for (NodeId& node : place) {
      const std::uint32_t left = grammar_->times_left(node);
      if (left > reach) node += left - reach;
    }
    places.insert(std::move(place));
  }
  const StateId out = intern(key_of(may_end(state), places));
  states_[state].alike = out;
  states_[out].alike = out;
  return out;
}

Result<TokenMask> Matcher::mask(StateId exact) {
  const StateId state = alike(exact);
  const auto found = masks_.find(state);
  if (found != masks_.end()) {
    found->second.last_use = calls_;
    return TokenMask(found->second.bits);
  }
  std::vector<std::uint64_t> bits;
  if (masks_.size() >= kMaxMasks) {
    const auto older = [](const auto& a, const auto& b) { return a.second.last_use < b.second.last_use; };
    const auto oldest = std::min_element(masks_.begin(), masks_.end(), older);
    bits = std::move(oldest->second.bits);
    masks_.erase(oldest);
  }
  bits.assign((trie_.vocabulary_size() + 63) / 64, 0);
  TRY_STATUS(walk(state, bits));
  if (may_end(state)) {
    for (const TokenId token : trie_.end_tokens()) {
      const auto id = static_cast<std::size_t>(token);
      if (id / 64 < bits.size()) bits[id / 64] |= std::uint64_t{1} << (id % 64);
    }
  }
  return TokenMask(masks_.insert_or_assign(state, Mask{std::move(bits), calls_}).first->second.bits);
}

// Between calls only: during one, states are referred to by number.
void Matcher::begin_call() {
  work_ = 0;
  calls_ += 1;
  if (words_ <= kMaxMatcherWords) return;
  generation_ += 1;
  masks_.clear();
  states_.clear();
  ids_.clear();
  words_ = 0;
  static_cast<void>(intern({0}));  // kDead
}

Constraint::Constraint(std::shared_ptr<Matcher> matcher) : matcher_(std::move(matcher)) {
  matcher_->begin_call();
  state_ = matcher_->start();
  places_ = *matcher_->states_[state_].places;
  generation_ = matcher_->generation_;
}

Matcher::StateId Constraint::state() {
  matcher_->begin_call();
  if (generation_ != matcher_->generation_) {
    state_ = matcher_->intern(places_);
    generation_ = matcher_->generation_;
  }
  return state_;
}

Result<TokenMask> Constraint::mask() {
  if (ended_) return TokenMask{};
  return matcher_->mask(state());
}

bool Constraint::may_end() {
  return ended_ || matcher_->may_end(state());
}

bool Constraint::is_finished() {
  return ended_ || (matcher_->may_end(state()) && !matcher_->may_go_on(state_));
}

Status Constraint::accept(TokenId token) {
  const Matcher::StateId from = state();
  const auto refused = [&] {
    return make_error(Code::kInvalidArgument, fmt::format("grammar: token {} is not allowed here", token));
  };
  if (ended_) return refused();
  if (matcher_->trie_.is_end(token)) {
    if (!matcher_->may_end(from)) return refused();
    ended_ = true;
    return {};
  }
  const std::string_view bytes = matcher_->trie_.bytes(token);
  if (bytes.empty()) return refused();
  Matcher::StateId to = from;
  for (const char c : bytes) to = matcher_->step(to, static_cast<std::uint8_t>(c));
  if (matcher_->work_ > kMaxWork) return too_much_work();
  if (to == Matcher::kDead) return refused();
  state_ = to;
  places_ = *matcher_->states_[to].places;
  return {};
}

}  // namespace dormouse::grammar
