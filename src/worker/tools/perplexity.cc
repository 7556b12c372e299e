#include "worker/tools/perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mapped_file.h"
#include "engine/kv_cache.h"
#include "text/tokenizer.h"
#include "text/utf8_decode.h"
#include "worker/tools/parallel_rows.h"

namespace dormouse::worker {
namespace {

// Rows computed at a time. 128 rows of logits of 151,936 tokens are 78 MB, of each model.
constexpr std::int32_t kPieceTokens = 128;

using Tokens = std::span<const sched::TokenId>;

Status check_utf8(const std::string& path, std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const text::Utf8Step step = text::decode_utf8(text.substr(at));
    if (step.kind != text::Utf8Kind::kCharacter) {
      return make_error(Code::kInvalidArgument, fmt::format("{}: not UTF-8 at byte {}", path, at));
    }
    at += step.size;
  }
  return {};
}

Result<std::vector<sched::TokenId>> read_tokens(const std::string& path, const text::Tokenizer& tokenizer,
                                                std::int32_t window) {
  TRY(const MappedFile file, MappedFile::open(path));
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  TRY_STATUS(check_utf8(path, text));
  std::vector<sched::TokenId> tokens = tokenizer.encode(text, text::SpecialTokens::kAsText);
  if (std::ssize(tokens) < window) {
    return make_error(Code::kInvalidArgument, fmt::format("{}: {} tokens, less than one window of {}; give a longer "
                                                          "text or a smaller --context",
                                                          path, tokens.size(), window));
  }
  return tokens;
}

// Rows of logits are compared token by token, so each id has to mean the same in both.
Status check_same_vocabulary(const ForcedModel& model, const text::Tokenizer& ours, const ForcedModel& other) {
  TRY(const text::Tokenizer theirs, text::Tokenizer::from_gguf(other.file()));
  if (model.vocab() != other.vocab()) {
    return make_error(Code::kInvalidArgument, fmt::format("the vocabularies differ: {} tokens, the reference has {}",
                                                          model.vocab(), other.vocab()));
  }
  for (sched::TokenId id = 0; id < std::min(ours.vocab_size(), theirs.vocab_size()); ++id) {
    const std::span one(&id, 1);
    if (ours.decode(one) != theirs.decode(one)) {
      return make_error(Code::kInvalidArgument,
                        fmt::format("the vocabularies differ: token {} is another text in the reference", id));
    }
  }
  return {};
}

// Feeds windows to one model, or to two side by side, and keeps what each scored position gave.
class Scorer {
 public:
  Scorer(ForcedModel& model, ForcedModel* reference) : model_(model), reference_(reference) {}

  Status score_window(Tokens window) {
    const auto size = static_cast<std::int32_t>(window.size());
    const std::int32_t first = size / 2;
    for (std::int32_t begin = 0; begin < first; begin += kPieceTokens) {
      TRY_STATUS(feed(window, begin, std::min(begin + kPieceTokens, first), ForcedModel::Logits::kNone));
    }
    // The last token has none after it to be scored.
    for (std::int32_t begin = first; begin < size - 1; begin += kPieceTokens) {
      const std::int32_t end = std::min(begin + kPieceTokens, size - 1);
      TRY_STATUS(feed(window, begin, end, ForcedModel::Logits::kAll));
      TRY_STATUS(judge(window.subspan(static_cast<std::size_t>(begin + 1), static_cast<std::size_t>(end - begin))));
    }
    ++windows_;
    return {};
  }

  [[nodiscard]] PerplexityResult result() const {
    PerplexityResult out;
    out.isa = model_.engine().isa();
    out.threads = model_.engine().threads();
    out.windows = windows_;
    out.tokens_scored = std::ssize(rows_);
    out.tokens_computed = tokens_;
    out.seconds = seconds_;
    std::vector<Prediction> got;
    std::vector<Prediction> reference;
    for (const Comparison& row : rows_) {
      got.push_back(row.got);
      reference.push_back(row.reference);
    }
    out.perplexity = perplexity_of(got);
    if (reference_ != nullptr) out.against = {perplexity_of(reference), distance_of(rows_)};
    return out;
  }

 private:
  Status feed(Tokens window, std::int32_t begin, std::int32_t end, ForcedModel::Logits wanted) {
    const MonoTime start = clock_.now();
    TRY(logits_, model_.feed(window, begin, end, wanted));
    seconds_ += std::chrono::duration<double>(clock_.now() - start).count();
    tokens_ += end - begin;
    if (reference_ != nullptr) {
      TRY(reference_logits_, reference_->feed(window, begin, end, wanted));
    }
    return {};
  }

  // next[i]: the token after row i of the logits.
  Status judge(Tokens next) {
    const std::size_t done = rows_.size();
    rows_.resize(done + next.size());
    const auto vocab = static_cast<std::size_t>(model_.vocab());
    parallel_rows(model_.engine().threads(), next.size(), [&](std::uint64_t begin, std::uint64_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        const std::span<const float> got = logits_.subspan(i * vocab, vocab);
        Comparison& row = rows_[done + i];
        if (reference_ == nullptr) {
          row.got = predict(got, next[i]);
        } else {
          row = compare(got, reference_logits_.subspan(i * vocab, vocab), next[i]);
        }
      }
    });
    for (const Comparison& row : std::span(rows_).subspan(done)) {
      if (std::isfinite(row.got.log_probability) && std::isfinite(row.reference.log_probability)) continue;
      return make_error(Code::kDataLoss, fmt::format("window {}: a logit is not a finite number", windows_ + 1));
    }
    return {};
  }

  const SystemClock clock_;
  ForcedModel& model_;
  ForcedModel* const reference_;  // null: none
  std::span<const float> logits_;
  std::span<const float> reference_logits_;
  std::vector<Comparison> rows_;  // without a reference `got` alone is set
  std::int64_t windows_ = 0;
  std::int64_t tokens_ = 0;
  double seconds_ = 0;
};

// A reference and the folder its weights may have been decoded into, which is removed after it.
struct Reference {
  std::optional<TemporaryFolder> folder;
  std::optional<ForcedModel> model;
};

Result<Reference> open_reference(const PerplexityOptions& options) {
  Reference out;
  ForcedModelOptions model_options{.isa = options.reference_isa,
                                   .threads = options.threads,
                                   .packed_directory = options.packed_directory,
                                   .arithmetic = Arithmetic::kGenerated,
                                   .context = options.context,
                                   .rows = kPieceTokens};
  std::string path = options.against == "self" ? options.file : options.against;
  TRY(const gguf::File file, gguf::File::open(path));
  if (!has_float_weights(file)) {
    TRY(TemporaryFolder folder, TemporaryFolder::create());
    out.folder.emplace(std::move(folder));
    TRY(path, copy_as_floats(path, out.folder->path()));
    model_options.packed_directory.clear();
  }
  TRY(ForcedModel model, ForcedModel::open(path, model_options));
  out.model.emplace(std::move(model));
  return out;
}

}  // namespace

Result<PerplexityResult> measure_perplexity(const PerplexityOptions& options, const PerplexityProgress& progress) {
  TRY(const kernels::KvType kv_type, engine::parse_kv_type(options.kv_type));
  TRY(ForcedModel model, ForcedModel::open(options.file, {.isa = options.isa,
                                                          .device = options.device,
                                                          .kv_type = kv_type,
                                                          .threads = options.threads,
                                                          .packed_directory = options.packed_directory,
                                                          .arithmetic = options.arithmetic,
                                                          .context = options.context,
                                                          .rows = kPieceTokens}));
  TRY(const text::Tokenizer tokenizer, text::Tokenizer::from_gguf(model.file()));
  // Before the reference is opened, which may take long.
  TRY(const std::vector<sched::TokenId> tokens, read_tokens(options.text_path, tokenizer, options.context));
  Reference reference;
  if (!options.against.empty()) {
    TRY(reference, open_reference(options));
    TRY_STATUS(check_same_vocabulary(model, tokenizer, *reference.model));
  }
  Scorer scorer(model, reference.model.has_value() ? &*reference.model : nullptr);
  const auto window = static_cast<std::size_t>(options.context);
  const std::size_t used = tokens.size() / window * window;
  for (std::size_t begin = 0; begin < used; begin += window) {
    if (progress) TRY_STATUS(progress(begin, used));
    TRY_STATUS(scorer.score_window(Tokens(tokens).subspan(begin, window)));
  }
  return scorer.result();
}

}  // namespace dormouse::worker
