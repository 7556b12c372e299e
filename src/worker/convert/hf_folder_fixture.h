// A Hugging Face folder with the weights of a GGUF of F32. Test code only: the names and files are written down here
// once more, from the published models, and share nothing with the converter.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "gguf/file.h"
#include "worker/convert/safetensors_fixture.h"
#include "worker/tools/vocabulary.h"

namespace dormouse::worker {

inline constexpr std::size_t kFixtureVocabulary = 512;

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// The tensors of `file` under their names in Qwen3's repositories. An embedding of fewer rows than the vocabulary gets
// rows of zeros.
inline std::vector<FixtureTensor> tensors_of(const gguf::File& file) {
  constexpr const char* kNames[][2] = {{"blk.{}.attn_k.weight", "model.layers.{}.self_attn.k_proj.weight"},
                                       {"blk.{}.attn_v.weight", "model.layers.{}.self_attn.v_proj.weight"},
                                       {"blk.{}.attn_q.weight", "model.layers.{}.self_attn.q_proj.weight"},
                                       {"blk.{}.attn_output.weight", "model.layers.{}.self_attn.o_proj.weight"},
                                       {"blk.{}.attn_q_norm.weight", "model.layers.{}.self_attn.q_norm.weight"},
                                       {"blk.{}.attn_k_norm.weight", "model.layers.{}.self_attn.k_norm.weight"},
                                       {"blk.{}.attn_norm.weight", "model.layers.{}.input_layernorm.weight"},
                                       {"blk.{}.ffn_norm.weight", "model.layers.{}.post_attention_layernorm.weight"},
                                       {"blk.{}.ffn_up.weight", "model.layers.{}.mlp.up_proj.weight"},
                                       {"blk.{}.ffn_gate.weight", "model.layers.{}.mlp.gate_proj.weight"},
                                       {"blk.{}.ffn_down.weight", "model.layers.{}.mlp.down_proj.weight"},
                                       {"token_embd.weight", "model.embed_tokens.weight"},
                                       {"output_norm.weight", "model.norm.weight"}};
  std::vector<FixtureTensor> out;
  for (std::uint64_t layer = 0; layer < file.get_uint("qwen3.block_count", 1, 99).value(); ++layer) {
    for (const auto& [from, to] : kNames) {
      const bool is_in_layer = std::string_view(from).starts_with("blk.");
      if (!is_in_layer && layer != 0) continue;
      const gguf::TensorInfo* const tensor = file.find_tensor(fmt::format(fmt::runtime(from), layer));
      EXPECT_NE(tensor, nullptr) << from;
      const auto bytes = file.data(*tensor);
      FixtureTensor copy{fmt::format(fmt::runtime(to), layer), "F32", {}, {bytes.begin(), bytes.end()}};
      for (int i = tensor->dimensions; i > 0; --i) copy.shape.push_back(tensor->shape[static_cast<std::size_t>(i - 1)]);
      if (!is_in_layer && copy.shape.size() == 2) {
        copy.shape[0] = kFixtureVocabulary;
        copy.bytes.resize(copy.shape[0] * copy.shape[1] * sizeof(float));
      }
      out.push_back(std::move(copy));
    }
  }
  return out;
}

// The upper halves of floats: what they are as BF16 if their lower halves are zero, else the next one towards zero.
inline std::string truncate_to_bf16(const std::string& floats) {
  std::string out;
  for (std::size_t at = 0; at < floats.size(); at += 4) out += floats.substr(at + 2, 2);
  return out;
}

inline boost::json::object config_of(const gguf::File& file) {
  const auto number = [&](const char* key) { return file.get_uint(key, 0, 1 << 24).value(); };
  return {{"architectures", {"Qwen3ForCausalLM"}},
          {"model_type", "qwen3"},
          {"num_hidden_layers", number("qwen3.block_count")},
          {"hidden_size", number("qwen3.embedding_length")},
          {"intermediate_size", number("qwen3.feed_forward_length")},
          {"num_attention_heads", number("qwen3.attention.head_count")},
          {"num_key_value_heads", number("qwen3.attention.head_count_kv")},
          {"head_dim", number("qwen3.attention.key_length")},
          {"max_position_embeddings", number("qwen3.context_length")},
          {"rope_theta", file.get_float("qwen3.rope.freq_base", 1, 1e9).value()},
          {"rms_norm_eps", file.get_float("qwen3.attention.layer_norm_rms_epsilon", 0, 1).value()},
          {"vocab_size", kFixtureVocabulary},
          {"tie_word_embeddings", true},
          {"bos_token_id", 480},
          {"eos_token_id", 482}};
}

// The added tokens of a vocabulary in both files' forms, flagged as Qwen3's are: <|fim_prefix|> is not special.
inline boost::json::object added_token(const Vocabulary& vocabulary, std::size_t id) {
  return {{"id", id},
          {"content", vocabulary.tokens[id]},
          {"single_word", false},
          {"lstrip", false},
          {"rstrip", false},
          {"normalized", false},
          {"special", vocabulary.types[id] == kTokenControl}};
}

inline bool is_added(const Vocabulary& vocabulary, std::size_t id) {
  return vocabulary.types[id] == kTokenControl || vocabulary.types[id] == kTokenUserDefined;
}

inline boost::json::object vocab_of(const Vocabulary& vocabulary) {
  boost::json::object out;
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (vocabulary.types[id] == kTokenNormal) out[vocabulary.tokens[id]] = id;
  }
  return out;
}

enum class MergeForm { kStrings, kPairs };

inline boost::json::object tokenizer_json_of(const Vocabulary& vocabulary, MergeForm form) {
  boost::json::array merges;
  for (const std::string& merge : vocabulary.merges) {
    const std::size_t space = merge.find(' ');
    if (form == MergeForm::kStrings) merges.emplace_back(merge);
    if (form == MergeForm::kPairs) merges.push_back({merge.substr(0, space), merge.substr(space + 1)});
  }
  boost::json::array added;
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (is_added(vocabulary, id)) added.push_back(added_token(vocabulary, id));
  }
  const char* const regex =
      R"x((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)x"
      R"x(\s*[\r\n]+|\s+(?!\S)|\s+)x";
  return {{"version", "1.0"},
          {"added_tokens", added},
          {"normalizer", {{"type", "NFC"}}},
          {"pre_tokenizer",
           {{"type", "Sequence"},
            {"pretokenizers",
             boost::json::array{
                 {{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}},
                 {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab_of(vocabulary)}, {"merges", merges}}}};
}

inline boost::json::object tokenizer_config_of(const Vocabulary& vocabulary) {
  boost::json::object decoder;
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (!is_added(vocabulary, id)) continue;
    boost::json::object token = added_token(vocabulary, id);
    token.erase("id");
    decoder[std::to_string(id)] = token;
  }
  return {{"add_bos_token", false},
          {"added_tokens_decoder", decoder},
          {"bos_token", nullptr},
          {"chat_template", "{{ messages }}"},
          {"eos_token", "<|im_end|>"},
          {"pad_token", "<|endoftext|>"},
          {"tokenizer_class", "Qwen2Tokenizer"}};
}

inline void write_object(const std::string& path, const boost::json::object& value) {
  write_file(path, boost::json::serialize(value));
}

// The form of Qwen3-Embedding: names without "model.", no output matrix, <|endoftext|> behind every text, whose state
// is the text's vector.
inline void write_embedding_folder(const std::string& folder, const gguf::File& file) {
  constexpr std::string_view kPrefix = "model.";
  std::vector<FixtureTensor> tensors = tensors_of(file);
  for (FixtureTensor& tensor : tensors) tensor.name.erase(0, kPrefix.size());
  write_file(folder + "/model.safetensors", make_safetensors(tensors));
  boost::json::object config = config_of(file);
  config["tie_word_embeddings"] = false;  // as the 8B has it, without an output matrix
  write_object(folder + "/config.json", config);
  const Vocabulary vocabulary = make_vocabulary(kFixtureVocabulary);
  boost::json::object tokenizer = tokenizer_json_of(vocabulary, MergeForm::kPairs);
  tokenizer["post_processor"] = boost::json::parse(
      R"({"type":"Sequence","processors":[
            {"type":"ByteLevel","add_prefix_space":false,"trim_offsets":false,"use_regex":false},
            {"type":"TemplateProcessing",
             "single":[{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"<|endoftext|>","type_id":0}}],
             "pair":[{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"<|endoftext|>","type_id":0}},
                     {"Sequence":{"id":"B","type_id":0}},{"SpecialToken":{"id":"<|endoftext|>","type_id":0}}]}]})");
  write_object(folder + "/tokenizer.json", tokenizer);
  write_object(folder + "/tokenizer_config.json", tokenizer_config_of(vocabulary));
  write_file(folder + "/modules.json",
             R"([{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},
                 {"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"},
                 {"idx":2,"name":"2","path":"2_Normalize","type":"sentence_transformers.models.Normalize"}])");
  std::filesystem::create_directories(folder + "/1_Pooling");
  write_object(folder + "/1_Pooling/config.json", {{"word_embedding_dimension", 64},
                                                   {"pooling_mode_cls_token", false},
                                                   {"pooling_mode_mean_tokens", false},
                                                   {"pooling_mode_max_tokens", false},
                                                   {"pooling_mode_lasttoken", true},
                                                   {"include_prompt", true}});
}

// A folder under the system's temporary one, and what a test puts into it.
class HfFolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "dormouse-convert-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    std::filesystem::create_directory(folder());
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  [[nodiscard]] std::string folder() const { return root_ + "/Tiny-Qwen3"; }
  [[nodiscard]] std::string in(const std::string& name) const { return folder() + "/" + name; }
  [[nodiscard]] std::string out(const std::string& name) const { return root_ + "/" + name; }
  // Files beside the folder.
  [[nodiscard]] std::size_t outputs() const {
    const std::filesystem::directory_iterator all(root_);
    return static_cast<std::size_t>(
        std::count_if(begin(all), end(all), [](const auto& e) { return e.is_regular_file(); }));
  }
  void write_json(const std::string& name, const boost::json::object& value) const { write_object(in(name), value); }
  void write_tokenizer(const Vocabulary& vocabulary) const {
    write_json("tokenizer.json", tokenizer_json_of(vocabulary, MergeForm::kPairs));
    write_json("tokenizer_config.json", tokenizer_config_of(vocabulary));
  }

 private:
  std::string root_;
};

}  // namespace dormouse::worker
