#include "api/embeddings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "api/fields.h"
#include "api/json_write.h"
#include "api/strict_json.h"

namespace dormouse::api {
namespace {

namespace json = boost::json;

constexpr std::string_view kKnownFields[] = {"model",           "input", "dimensions", "pooling",
                                             "encoding_format", "user",  "truncate"};

std::vector<std::int32_t> read_ids(const Fields& fields, const json::array& ids) {
  std::vector<std::int32_t> out;
  if (ids.empty()) fields.refuse("input", "input holds an empty list of tokens.");
  if (ids.size() > kMaxPromptTokens) {
    fields.refuse("input", fmt::format("An input may have at most {} tokens.", kMaxPromptTokens));
    return out;
  }
  out.reserve(ids.size());
  for (const json::value& element : ids) {
    const std::optional<std::int64_t> id = as_integer(element);
    if (!id || *id < 0 || *id > std::numeric_limits<std::int32_t>::max()) {
      fields.refuse("input", "input holds something that is neither text nor a token id.");
      return out;
    }
    out.push_back(static_cast<std::int32_t>(*id));
  }
  return out;
}

void read_one(const Fields& fields, const json::value& value, EmbeddingsRequest& out) {
  if (const json::string* text = value.if_string()) {
    if (text->empty()) fields.refuse("input", "input holds an empty text.");
    out.inputs.emplace_back(std::string(text->data(), text->size()));
  } else if (const json::array* ids = value.if_array()) {
    out.inputs.emplace_back(read_ids(fields, *ids));
  } else {
    fields.refuse("input", "input is a text, a list of texts, a list of token ids, or a list of such lists.");
  }
}

void read_input(const Fields& fields, EmbeddingsRequest& out, const Problem& problem) {
  const json::value* const value = fields.find("input");
  if (value == nullptr) return fields.refuse("input", "input is needed.");
  const json::array* const list = value->if_array();
  const bool is_many = list != nullptr && !list->empty() && ((*list)[0].is_string() || (*list)[0].is_array());
  if (!is_many) return read_one(fields, *value, out);
  if (list->size() > kMaxEmbeddingInputs) {
    return fields.refuse("input", fmt::format("input may have at most {} elements.", kMaxEmbeddingInputs));
  }
  out.inputs.reserve(list->size());
  for (const json::value& element : *list) {
    read_one(fields, element, out);
    if (problem.found()) return;
  }
}

void append_base64(std::string& out, std::span<const float> vector) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<std::uint8_t, 3> group{};
  std::size_t filled = 0;
  const auto flush = [&] {
    const std::uint32_t bits = (std::uint32_t{group[0]} << 16) | (std::uint32_t{group[1]} << 8) | group[2];
    for (std::size_t i = 0; i < 4; ++i) out += i <= filled ? kDigits[(bits >> (18 - 6 * i)) & 63] : '=';
    group = {};
    filled = 0;
  };
  for (const float value : vector) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (unsigned shift = 0; shift < 32; shift += 8) {
      group[filled++] = static_cast<std::uint8_t>(bits >> shift);
      if (filled == group.size()) flush();
    }
  }
  if (filled > 0) flush();
}

// The shortest text that reads back as the same float.
void append_float(std::string& out, float value) {
  std::array<char, 32> text;
  const auto [end, ec] = std::to_chars(text.data(), text.data() + text.size(), value);
  out.append(text.data(), ec == std::errc{} && std::isfinite(value) ? end : std::copy_n("0", 1, text.data()));
}

// The members of an object, or the elements of a list, as text, without looking into them: strings and brackets are all
// that is understood.
class Members {
 public:
  explicit Members(std::string_view text) : text_(text) {}

  // Called for each member; false: this is no object, or it is not whole.
  template <typename Visit>
  bool visit(const Visit& each) {
    if (!take('{')) return false;
    if (take('}')) return at_end();
    while (true) {
      const std::optional<std::string_view> key = value();
      if (!key || key->size() < 2 || key->front() != '"' || !take(':')) return false;
      const std::optional<std::string_view> text = value();
      if (!text) return false;
      each(key->substr(1, key->size() - 2), *text);
      if (take('}')) return at_end();
      if (!take(',')) return false;
    }
  }
  template <typename Visit>
  bool visit_list(const Visit& each) {
    if (!take('[')) return false;
    if (take(']')) return at_end();
    while (true) {
      const std::optional<std::string_view> text = value();
      if (!text) return false;
      each(*text);
      if (take(']')) return at_end();
      if (!take(',')) return false;
    }
  }

 private:
  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }
  bool take(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool at_end() {
    skip_space();
    return at_ == text_.size();
  }
  // Past a string that begins here; false: it does not end.
  bool skip_string() {
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '"') break;
      if (text_[at_] == '\\') ++at_;
    }
    if (at_ >= text_.size()) return false;
    ++at_;
    return true;
  }
  std::optional<std::string_view> value() {
    skip_space();
    const std::size_t begin = at_;
    std::size_t depth = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        if (!skip_string()) return std::nullopt;
        if (depth == 0) break;
        continue;
      }
      if (depth == 0 && (c == ',' || c == '}' || c == ']' || c == ':')) break;
      ++at_;
      if (c == '{' || c == '[') ++depth;
      if ((c == '}' || c == ']') && --depth == 0) break;
    }
    if (depth != 0 || at_ == begin) return std::nullopt;
    return text_.substr(begin, at_ - begin);
  }

  const std::string_view text_;
  std::size_t at_ = 0;
};

std::optional<std::int64_t> prompt_tokens_of(std::string_view usage) {
  const ApiResult<json::value> value = parse_strict_json(usage);
  if (!value || !value->is_object()) return std::nullopt;
  for (const std::string_view name : {"prompt_tokens", "total_tokens"}) {
    const json::value* const count = find_member(value->get_object(), name);
    const std::optional<std::int64_t> tokens = count == nullptr ? std::nullopt : as_integer(*count);
    if (tokens && *tokens >= 0) return tokens;
  }
  return std::nullopt;
}

std::string tail_of(std::string_view model, std::int64_t prompt_tokens) {
  std::string out = R"(,"model":)";
  append_json_string(out, model);
  return out + fmt::format(R"(,"usage":{{"prompt_tokens":{0},"total_tokens":{0}}}}})", prompt_tokens);
}

constexpr std::string_view kHead = R"({"object":"list","data":)";

struct AnswerParts {
  std::int64_t prompt_tokens = 0;
  std::string_view data;  // the list, as text
};

Result<AnswerParts> parts_of(std::string_view body) {
  AnswerParts out;
  std::optional<std::int64_t> tokens;
  const bool is_whole = Members(body).visit([&](std::string_view key, std::string_view text) {
    if (key == "data") out.data = text;
    if (key == "usage") tokens = prompt_tokens_of(text);
  });
  if (!is_whole || !out.data.starts_with('[') || !out.data.ends_with(']')) {
    return make_error(Code::kDataLoss, "embeddings: the answer is no list of vectors");
  }
  out.prompt_tokens = tokens.value_or(0);
  return out;
}

}  // namespace

ApiResult<EmbeddingsRequest> parse_embeddings_request(std::string_view body) {
  const ApiResult<json::value> value = parse_strict_json(body);
  if (!value) return tl::unexpected(value.error());
  if (!value->is_object()) {
    return tl::unexpected(ApiError{ErrorCode::kInvalidJson, "The body must be a JSON object.", ""});
  }
  EmbeddingsRequest out;
  Problem problem;
  const Fields fields(value->get_object(), "", problem);
  out.model = fields.string("model", kMaxNameBytes).value_or("");
  read_input(fields, out, problem);
  out.dimensions = fields.integer("dimensions", {.min = 1, .max = kMaxEmbeddingDimensions});
  if (const auto pooling = fields.string("pooling", kMaxNameBytes)) {
    if (*pooling != "mean" && *pooling != "last") fields.refuse("pooling", "pooling is mean or last.");
    out.pooling = *pooling == "mean" ? Pooling::kMean : Pooling::kLast;
  }
  const std::string encoding = fields.string("encoding_format", kMaxNameBytes).value_or("float");
  if (encoding != "float" && encoding != "base64") {
    fields.refuse("encoding_format", "encoding_format is float or base64.");
  }
  out.encoding = encoding == "base64" ? VectorEncoding::kBase64 : VectorEncoding::kFloat;
  out.truncate = fields.boolean("truncate").value_or(false);
  if (problem.found()) return tl::unexpected(problem.error());
  for (const auto& member : value->get_object()) {
    const std::string_view name(member.key());
    if (std::find(std::begin(kKnownFields), std::end(kKnownFields), name) == std::end(kKnownFields)) {
      out.ignored_fields += 1;
    }
  }
  return out;
}

std::string to_json(const EmbeddingsRequest& request) {
  std::string out = R"({"input":[)";
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    if (i > 0) out += ',';
    if (const auto* text = std::get_if<std::string>(&request.inputs[i])) {
      append_json_string(out, *text);
    } else {
      out += fmt::format("[{}]", fmt::join(std::get<std::vector<std::int32_t>>(request.inputs[i]), ","));
    }
  }
  out += request.encoding == VectorEncoding::kBase64 ? R"(],"encoding_format":"base64")"
                                                     : R"(],"encoding_format":"float")";
  if (request.dimensions) out += fmt::format(R"(,"dimensions":{})", *request.dimensions);
  if (request.pooling) out += *request.pooling == Pooling::kMean ? R"(,"pooling":"mean")" : R"(,"pooling":"last")";
  if (request.truncate) out += R"(,"truncate":true)";
  return out + '}';
}

std::int64_t most_tokens(const EmbeddingInput& input) {
  return std::visit([](const auto& content) { return static_cast<std::int64_t>(content.size()); }, input);
}

EmbeddingsWriter::EmbeddingsWriter(VectorEncoding encoding) : encoding_(encoding), out_(kHead) {
  out_ += '[';
}

void EmbeddingsWriter::add(std::span<const float> vector) {
  out_ += fmt::format(R"({}{{"object":"embedding","index":{},"embedding":)", count_ == 0 ? "" : ",", count_);
  ++count_;
  switch (encoding_) {
    case VectorEncoding::kBase64:
      out_ += '"';
      append_base64(out_, vector);
      out_ += '"';
      break;
    case VectorEncoding::kFloat:
      out_ += '[';
      for (std::size_t i = 0; i < vector.size(); ++i) {
        if (i > 0) out_ += ',';
        append_float(out_, vector[i]);
      }
      out_ += ']';
      break;
  }
  out_ += '}';
}

std::string EmbeddingsWriter::finish(std::string_view model, std::int64_t prompt_tokens) {
  return std::move(out_) + ']' + tail_of(model, prompt_tokens);
}

Result<EmbeddingsAnswer> rename_embeddings(std::string_view body, std::string_view model) {
  TRY(const AnswerParts parts, parts_of(body));
  EmbeddingsAnswer out;
  out.prompt_tokens = parts.prompt_tokens;
  out.body.reserve(body.size() + model.size());
  out.body += kHead;
  out.body += parts.data;
  out.body += tail_of(model, out.prompt_tokens);
  return out;
}

Result<EmbeddingTexts> read_embeddings(std::string_view body) {
  TRY(const AnswerParts parts, parts_of(body));
  std::vector<std::string_view> elements;
  bool is_whole = Members(parts.data).visit_list([&](std::string_view text) { elements.push_back(text); });
  EmbeddingTexts out;
  out.prompt_tokens = parts.prompt_tokens;
  out.vectors.resize(elements.size());
  for (std::size_t i = 0; is_whole && i < elements.size(); ++i) {
    std::string_view vector;
    std::size_t index = i;
    is_whole = Members(elements[i]).visit([&](std::string_view key, std::string_view text) {
      if (key == "embedding") vector = text;
      if (key != "index") return;
      if (std::from_chars(text.data(), text.data() + text.size(), index).ec != std::errc{}) index = elements.size();
    });
    is_whole = is_whole && vector.starts_with('[') && index < elements.size() && out.vectors[index].empty();
    if (is_whole) out.vectors[index] = vector;
  }
  if (!is_whole) return make_error(Code::kDataLoss, "embeddings: the answer is no list of vectors");
  return out;
}

}  // namespace dormouse::api
