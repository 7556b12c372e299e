#include "worker/convert/hf_tokenizer.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

#include "text/tokenizer.h"
#include "worker/convert/utf8_text.h"
#include "worker/tools/json_file.h"

namespace dormouse::worker {
namespace {

namespace json = boost::json;
namespace fs = std::filesystem;

// How Qwen2 and Qwen3 cut text before merging; what `tokenizer.ggml.pre = qwen2` stands for. Source: transformers,
// models/qwen2/tokenization_qwen2.py, PRETOKENIZE_REGEX.
constexpr std::string_view kSplitPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

bool exists(const std::string& path) {
  std::error_code ec;
  return fs::exists(path, ec);
}

// llama.cpp's rule: what looks like a control token is one, whatever its `special` says (Qwen3's <|fim_prefix|> and
// its five neighbours). It overrides other types of these when it loads a file. Source: convert_hf_to_gguf.py,
// does_token_look_special.
TokenType added_type(std::string_view text, bool is_special) {
  const bool looks_special = text.starts_with("<|") && text.ends_with("|>");
  return is_special || looks_special ? kTokenControl : kTokenUserDefined;
}

// A token that is there already, as both files list it, is no mistake.
Status add_token(const std::string& source, std::int64_t id, const JsonFields& token, Vocabulary& out) {
  TRY(const std::string_view text, token.get_string("content"));
  TRY(const bool is_special, token.get_bool_or("special", false));
  const TokenType type = added_type(text, is_special);
  const bool is_known = id >= 0 && static_cast<std::uint64_t>(id) < out.tokens.size() &&
                        !out.tokens[static_cast<std::size_t>(id)].empty() &&
                        out.tokens[static_cast<std::size_t>(id)] == text;
  if (!is_known) return place_token(source, text, id, type, out);
  out.types[static_cast<std::size_t>(id)] = type;
  return {};
}

Status check_split(const JsonFields& tokenizer) {
  TRY(const JsonFields pre, tokenizer.get_object("pre_tokenizer"));
  const auto is_split = [](const json::value& step) {
    const json::object* const object = step.if_object();
    const json::value* const pattern = object == nullptr ? nullptr : object->if_contains("pattern");
    const json::object* const kinds = pattern == nullptr ? nullptr : pattern->if_object();
    const json::value* const regex = kinds == nullptr ? nullptr : kinds->if_contains("Regex");
    return regex != nullptr && regex->is_string() && std::string_view(regex->get_string()) == kSplitPattern;
  };
  const json::value* const steps = pre.find("pretokenizers");
  if (steps != nullptr && steps->is_array()) {
    for (const json::value& step : steps->get_array()) {
      if (is_split(step)) return {};
    }
  }
  return pre.wrong("pretokenizers", "Qwen2's split pattern: text is cut in another way here, which is not supported",
                   Code::kInvalidArgument);
}

// A merge is "left right" in older files and ["left", "right"] in newer ones.
Result<std::string> read_merge(const JsonFields& model, const json::value& merge) {
  if (merge.is_string() && std::string_view(merge.get_string()).find(' ') != std::string_view::npos) {
    return std::string(merge.get_string());
  }
  const json::array* const pair = merge.if_array();
  const bool is_pair = pair != nullptr && pair->size() == 2 && pair->front().is_string() && pair->back().is_string();
  if (!is_pair) return model.wrong("merges", "pairs of tokens");
  return std::string(pair->front().get_string()) + ' ' + std::string(pair->back().get_string());
}

// What the tokenizer itself puts behind every text (Qwen3-Embedding: <|endoftext|>, whose state is the text's vector);
// empty: nothing. A post_processor is one step or a Sequence of them; of a template the last entry counts.
Result<std::string> read_ending(const std::string& path, const JsonFields& tokenizer) {
  std::string out;
  if (!tokenizer.has("post_processor")) return out;
  TRY(const JsonFields processor, tokenizer.get_object("post_processor"));
  json::array steps{processor.object()};
  if (processor.has("processors")) {
    TRY(const json::array* list, processor.get_array("processors"));
    steps = *list;
  }
  for (const json::value& value : steps) {
    if (!value.is_object()) return processor.wrong("processors", "objects");
    const JsonFields step(path + ": post_processor: ", value.get_object());
    TRY(const std::string_view type, step.get_string("type"));
    if (type != "TemplateProcessing") continue;
    TRY(const json::array* single, step.get_array("single"));
    if (single->size() < 2 || !single->back().is_object()) continue;
    const JsonFields last(path + ": post_processor: single: ", single->back().get_object());
    if (!last.has("SpecialToken")) continue;
    TRY(const JsonFields token, last.get_object("SpecialToken"));
    TRY(const std::string_view text, token.get_string("id"));
    out = text;
  }
  return out;
}

// The token behind every text, where there is one, in `ending`.
Status read_tokenizer_json(const std::string& path, Vocabulary& out, std::string& ending) {
  TRY(const JsonFile file, JsonFile::open(path));
  const JsonFields tokenizer = file.root();
  TRY(const JsonFields model, tokenizer.get_object("model"));
  TRY(const std::string_view type, model.get_string("type"));
  if (type != "BPE") return model.wrong("type", "BPE, as Qwen3 has", Code::kInvalidArgument);
  TRY_STATUS(check_split(tokenizer));
  TRY(const JsonFields vocab, model.get_object("vocab"));
  TRY_STATUS(place_tokens(path, vocab, kTokenNormal, out));
  TRY(const json::array* merges, model.get_array("merges"));
  out.merges.reserve(merges->size());
  for (const json::value& merge : *merges) {
    TRY(std::string pair, read_merge(model, merge));
    out.merges.push_back(std::move(pair));
  }
  TRY(ending, read_ending(path, tokenizer));
  if (!tokenizer.has("added_tokens")) return {};
  TRY(const json::array* added, tokenizer.get_array("added_tokens"));
  for (const json::value& token : *added) {
    if (!token.is_object()) return tokenizer.wrong("added_tokens", "objects");
    const JsonFields fields(path + ": added_tokens: ", token.get_object());
    TRY(const std::uint64_t id, fields.get_uint("id", 0, out.tokens.size() - 1));
    TRY_STATUS(add_token(path, static_cast<std::int64_t>(id), fields, out));
  }
  return {};
}

Status read_vocab_and_merges(const std::string& directory, Vocabulary& out) {
  const std::string vocab_path = directory + "/vocab.json";
  const std::string merges_path = directory + "/merges.txt";
  if (!exists(vocab_path) || !exists(merges_path)) {
    return make_error(Code::kNotFound, directory + ": has neither tokenizer.json nor vocab.json with merges.txt");
  }
  TRY(const JsonFile vocab, JsonFile::open(vocab_path));
  TRY_STATUS(place_tokens(vocab_path, vocab.root(), kTokenNormal, out));
  TRY(const MappedFile merges, open_text(merges_path));
  TRY(out.merges, parse_merges(merges_path, text_of(merges)));
  return {};
}

Status add_configured_tokens(const JsonFile& file, Vocabulary& out) {
  if (!file.root().has("added_tokens_decoder")) return {};
  TRY(const JsonFields tokens, file.root().get_object("added_tokens_decoder"));
  for (const auto& [key, value] : tokens.object()) {
    std::int64_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || !value.is_object()) {
      return file.root().wrong("added_tokens_decoder", "token ids as keys and objects as values");
    }
    const JsonFields fields(fmt::format("{}: added_tokens_decoder {} ", file.name(), id), value.get_object());
    TRY_STATUS(add_token(file.name(), id, fields, out));
  }
  return {};
}

// `key` is a token's text, an object with it as "content", or null.
Result<std::optional<std::uint32_t>> configured_id(const JsonFields& config, std::string_view key,
                                                   const Vocabulary& vocabulary) {
  if (!config.has(key)) return std::optional<std::uint32_t>();
  const json::value& value = *config.find(key);
  std::string_view text;
  if (value.is_object()) {
    TRY(const JsonFields token, config.get_object(key));
    TRY(text, token.get_string("content"));
  } else {
    TRY(text, config.get_string(key));
  }
  const Result<std::uint32_t> id = id_of(vocabulary, text);
  if (!id.has_value()) return config.wrong(key, "a token that the tokenizer has");
  return std::optional(*id);
}

// A string, or a list of named ones of which the one named "default" counts.
Result<std::string> configured_template(const JsonFields& config) {
  if (!config.has("chat_template")) return std::string();
  if (!config.find("chat_template")->is_array()) {
    TRY(const std::string_view text, config.get_string("chat_template"));
    return std::string(text);
  }
  for (const json::value& entry : config.find("chat_template")->get_array()) {
    if (!entry.is_object()) break;
    const JsonFields fields("", entry.get_object());
    if (fields.get_string("name").value_or("") != "default") continue;
    TRY(const std::string_view text, fields.get_string("template"));
    return std::string(text);
  }
  return config.wrong("chat_template", "a string, or a list with one named default");
}

// What tokenizer_config.json and chat_template.jinja say, where they are.
Status read_settings(const std::string& directory, HfTokenizer& out, std::optional<std::uint32_t>& eos) {
  const std::string path = directory + "/tokenizer_config.json";
  if (exists(path)) {
    TRY(const JsonFile file, JsonFile::open(path));
    const JsonFields config = file.root();
    TRY_STATUS(add_configured_tokens(file, out.vocabulary));
    TRY(eos, configured_id(config, "eos_token", out.vocabulary));
    TRY(out.bos_token_id, configured_id(config, "bos_token", out.vocabulary));
    TRY(out.pad_token_id, configured_id(config, "pad_token", out.vocabulary));
    TRY(out.adds_bos, config.get_bool_or("add_bos_token", false));
    if (config.has("add_eos_token")) {
      TRY(out.adds_eos, config.get_bool("add_eos_token"));
    }
    TRY(out.chat_template, configured_template(config));
  }
  const std::string template_path = directory + "/chat_template.jinja";
  if (exists(template_path)) {
    TRY(const MappedFile file, open_text(template_path));
    out.chat_template = text_of(file);
    if (!is_utf8(out.chat_template)) return make_error(Code::kDataLoss, template_path + ": want UTF-8");
  }
  return {};
}

// eos becomes what is put behind every text: the one place where a GGUF can say so.
Status heed_ending(const std::string& directory, const std::string& ending, HfTokenizer& out,
                   std::optional<std::uint32_t>& eos) {
  if (ending.empty()) return {};
  const Result<std::uint32_t> id = id_of(out.vocabulary, ending);
  if (!id.has_value()) {
    return make_error(Code::kDataLoss,
                      directory + "/tokenizer.json: post_processor: want a token that the tokenizer has at its end");
  }
  if (eos.has_value() && *eos != *id) out.eot_token_id = eos;
  eos = *id;
  if (!out.adds_eos.has_value()) out.adds_eos = true;
  return {};
}

// The engine's own tokenizer has the last word on the tables: what it refuses is not written.
Status check_tables(const std::string& directory, const Vocabulary& vocabulary) {
  const std::vector<std::string_view> tokens(vocabulary.tokens.begin(), vocabulary.tokens.end());
  const std::vector<std::string_view> merges(vocabulary.merges.begin(), vocabulary.merges.end());
  const std::vector<std::int64_t> types(vocabulary.types.begin(), vocabulary.types.end());
  const auto tokenizer = text::Tokenizer::from_tables({.model = "gpt2",
                                                       .pre = "qwen2",
                                                       .tokens = tokens,
                                                       .types = types,
                                                       .merges = merges,
                                                       .eos_token_id = vocabulary.end_of_turn_id});
  if (tokenizer.has_value()) return {};
  return make_error(tokenizer.error().code,
                    fmt::format("{}: its tokenizer is damaged: {}", directory, tokenizer.error().message));
}

}  // namespace

Result<HfTokenizer> read_hf_tokenizer(const std::string& directory, const HfConfig& config) {
  HfTokenizer out;
  out.vocabulary.tokens.resize(config.shape.vocab);
  out.vocabulary.types.resize(config.shape.vocab, kTokenUnused);
  std::string ending;
  if (exists(directory + "/tokenizer.json")) {
    TRY_STATUS(read_tokenizer_json(directory + "/tokenizer.json", out.vocabulary, ending));
  } else {
    TRY_STATUS(read_vocab_and_merges(directory, out.vocabulary));
  }
  std::optional<std::uint32_t> eos;
  TRY_STATUS(read_settings(directory, out, eos));
  name_padding(out.vocabulary);
  if (!eos.has_value()) eos = config.eos_token_id;
  TRY_STATUS(heed_ending(directory, ending, out, eos));
  if (!out.bos_token_id.has_value()) out.bos_token_id = config.bos_token_id;
  if (!out.pad_token_id.has_value()) out.pad_token_id = config.pad_token_id;
  if (!eos.has_value()) {
    return make_error(Code::kNotFound,
                      directory + ": no eos_token in tokenizer_config.json and no eos_token_id in config.json");
  }
  for (const std::optional<std::uint32_t>& id : {eos, out.eot_token_id, out.bos_token_id, out.pad_token_id}) {
    if (id.has_value() && *id >= config.shape.vocab) {
      return make_error(Code::kDataLoss, fmt::format("{}/config.json: a token id is {}, vocab_size is {}", directory,
                                                     *id, config.shape.vocab));
    }
  }
  out.vocabulary.end_of_turn_id = *eos;
  TRY_STATUS(check_tables(directory, out.vocabulary));
  return out;
}

}  // namespace dormouse::worker
