#include "worker/convert/convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "gguf/writer.h"
#include "worker/convert/checkpoint.h"
#include "worker/convert/hf_config.h"
#include "worker/convert/hf_pooling.h"
#include "worker/convert/hf_tokenizer.h"
#include "worker/convert/utf8_text.h"
#include "worker/tools/progress.h"
#include "worker/tools/tensor_recode.h"

namespace dormouse::worker {
namespace {

namespace fs = std::filesystem;

constexpr Nanoseconds kQuietFor = std::chrono::seconds(2);
constexpr std::uint32_t kQuantizationVersion = 2;  // ggml's number for today's block layouts

struct NamePair {
  std::string_view gguf;
  std::string_view hf;
};
// Within a layer; ".weight" follows both. Q and K keep their rows: Qwen3's RoPE pairs element i with i + head_dim / 2
// in both worlds, so nothing is permuted as for Llama.
constexpr std::array<NamePair, 11> kLayerNames{{{"attn_norm", "input_layernorm"},
                                                {"attn_q", "self_attn.q_proj"},
                                                {"attn_k", "self_attn.k_proj"},
                                                {"attn_v", "self_attn.v_proj"},
                                                {"attn_output", "self_attn.o_proj"},
                                                {"attn_q_norm", "self_attn.q_norm"},
                                                {"attn_k_norm", "self_attn.k_norm"},
                                                {"ffn_norm", "post_attention_layernorm"},
                                                {"ffn_gate", "mlp.gate_proj"},
                                                {"ffn_up", "mlp.up_proj"},
                                                {"ffn_down", "mlp.down_proj"}}};
constexpr std::string_view kOutputName = "lm_head.weight";
constexpr std::string_view kModelPrefix = "model.";  // of all names but that; models for embeddings come without it
constexpr std::string_view kEmbeddingName = "model.embed_tokens.weight";

// "blk.7.attn_q.weight" -> "model.layers.7.self_attn.q_proj.weight"; for the names that synth_tensors gives.
std::string full_name(std::string_view gguf_name) {
  if (gguf_name == "token_embd.weight") return std::string(kEmbeddingName);
  if (gguf_name == "output_norm.weight") return "model.norm.weight";
  if (gguf_name == "output.weight") return std::string(kOutputName);
  std::string_view rest = gguf_name.substr(std::string_view("blk.").size());
  const std::string_view layer = rest.substr(0, rest.find('.'));
  rest = rest.substr(layer.size() + 1);
  const std::string_view part = rest.substr(0, rest.find('.'));
  const auto at =
      std::find_if(kLayerNames.begin(), kLayerNames.end(), [&](const NamePair& pair) { return pair.gguf == part; });
  CHECK(at != kLayerNames.end());
  return fmt::format("model.layers.{}.{}.weight", layer, at->hf);
}

enum class Names { kFull, kBare };  // "model.norm.weight", "norm.weight"

std::string hf_name(std::string_view gguf_name, Names names) {
  std::string out = full_name(gguf_name);
  if (names == Names::kBare && out.starts_with(kModelPrefix)) out.erase(0, kModelPrefix.size());
  return out;
}

// Input.
struct Model {
  HfConfig config;
  HfSampling sampling;
  Names names = Names::kFull;
  std::optional<HfPooling> pooling;  // how it is meant to give vectors; nullopt: nobody says
  HfTokenizer tokenizer;
  Checkpoint checkpoint;
};

Result<Model> read_model(const std::string& directory) {
  // The weights first: that DIR is no model's folder at all is the commonest mistake, and they say so best.
  TRY(Checkpoint checkpoint, Checkpoint::open(directory));
  TRY(const JsonFile config_file, JsonFile::open(directory + "/config.json"));
  TRY(HfConfig config, read_hf_config(config_file));
  HfSampling sampling;
  const std::string sampling_path = directory + "/generation_config.json";
  std::error_code ec;
  if (fs::exists(sampling_path, ec)) {
    TRY(const JsonFile file, JsonFile::open(sampling_path));
    TRY(sampling, read_hf_sampling(file));
  }
  TRY(std::optional<HfPooling> pooling, read_hf_pooling(directory));
  Names names = Names::kFull;
  if (checkpoint.find(kEmbeddingName) == nullptr && checkpoint.find(kEmbeddingName.substr(kModelPrefix.size()))) {
    names = Names::kBare;
    // There is nothing to tie and no answer to make; a file of such weights needs no second matrix of the same size.
    if (checkpoint.find(kOutputName) == nullptr) config.shape.is_tied = true;
    if (!pooling.has_value()) pooling = HfPooling::kLast;  // Qwen3-Embedding's own way
  }
  TRY(HfTokenizer tokenizer, read_hf_tokenizer(directory, config));
  return Model{std::move(config), sampling, names, pooling, std::move(tokenizer), std::move(checkpoint)};
}

Status check_options(const ConvertOptions& options, const Checkpoint& checkpoint) {
  std::error_code ec;
  if (fs::is_directory(options.out_path, ec)) {
    return make_error(Code::kInvalidArgument, options.out_path + ": is a folder; name the file to write");
  }
  // It is shown in lists and logs. Folders named in another encoding than UTF-8 do exist.
  if (!is_printable(options.name) || !is_utf8(options.name)) {
    return make_error(Code::kInvalidArgument,
                      "the folder's name is no printable UTF-8; give the model one with --name");
  }
  for (const SafetensorsFile& part : checkpoint.parts()) {
    if (!fs::equivalent(part.name(), options.out_path, ec)) continue;
    return make_error(Code::kInvalidArgument, options.out_path + ": is the input; give another name");
  }
  return {};
}

std::string shape_text(const std::vector<std::uint64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

// The recoding of every tensor of the model, in the order of the GGUF. Views `model` and `tensors`.
Result<std::vector<TensorRecode>> plan(const Model& model, const std::vector<SynthTensor>& tensors,
                                       const FileTypeName& file_type, Progress& progress) {
  const SynthConfig& c = model.config.shape;
  const ModelShape shape{.layers = c.layers, .heads_per_kv_head = c.heads / c.kv_heads, .is_tied = c.is_tied};
  std::set<std::string, std::less<>> used;
  // Tied, the output matrix is the embedding, whatever lies in the file under its name (Qwen3-0.6B's has a copy).
  if (c.is_tied) used.emplace(kOutputName);
  std::vector<TensorRecode> out;
  for (const SynthTensor& wanted : tensors) {
    const std::string name = hf_name(wanted.name, model.names);
    const CheckpointTensor* const found = model.checkpoint.find(name);
    if (found == nullptr) {
      return make_error(Code::kNotFound, fmt::format("{}: tensor '{}' is missing; config.json says there is one",
                                                     model.checkpoint.parts().front().name(), name));
    }
    const std::vector<std::uint64_t> shape_wanted(wanted.shape.rbegin(), wanted.shape.rend());
    if (found->tensor->shape != shape_wanted) {
      return make_error(Code::kDataLoss, fmt::format("{}: tensor '{}' is {}, config.json wants {}", found->part->name(),
                                                     name, shape_text(found->tensor->shape), shape_text(shape_wanted)));
    }
    const int dimensions = static_cast<int>(wanted.shape.size());
    const TypeChoice choice = choose_type(file_type.type, shape, wanted.name, dimensions, wanted.shape.front());
    if (choice.instead_of.has_value()) {
      progress.note(fmt::format("{}: rows of {} do not fit {}, so it becomes {}", wanted.name, wanted.shape.front(),
                                traits(*choice.instead_of).name, traits(choice.type).name));
    }
    const std::uint64_t rows = wanted.shape.size() == 2 ? wanted.shape[1] : 1;
    const bool is_below_16_bits = !is_float(choice.type);
    out.push_back({.file = found->part->name(),
                   .name = found->tensor->name,
                   .bytes = found->tensor->bytes,
                   .from = found->tensor->type,
                   .to = choice.type,
                   .through = is_below_16_bits ? std::optional(TensorType::kF16) : std::nullopt,
                   .row_length = wanted.shape.front(),
                   .rows = rows});
    used.insert(name);
  }
  for (const auto& [name, tensor] : model.checkpoint.tensors()) {
    // Older releases of transformers wrote RoPE's frequencies; they follow from rope_theta.
    if (used.contains(name) || name.ends_with(".rotary_emb.inv_freq")) continue;
    return make_error(Code::kInvalidArgument,
                      fmt::format("{}: tensor '{}' is none of a dense Qwen3 with config.json's {} layers",
                                  tensor.part->name(), name, c.layers));
  }
  return out;
}

// The order matters to nobody but quantize_file, which moves file_type and quantization_version to the end.
void add_metadata(const ConvertOptions& options, const Model& model, gguf::Writer& writer) {
  const SynthConfig& c = model.config.shape;
  writer.add_string("general.architecture", "qwen3");
  writer.add_string("general.type", "model");
  writer.add_string("general.name", options.name);
  if (model.sampling.top_k.has_value()) writer.add_uint32("general.sampling.top_k", *model.sampling.top_k);
  if (model.sampling.top_p.has_value()) writer.add_float32("general.sampling.top_p", *model.sampling.top_p);
  if (model.sampling.temperature.has_value()) writer.add_float32("general.sampling.temp", *model.sampling.temperature);
  writer.add_uint32("qwen3.block_count", c.layers);
  writer.add_uint32("qwen3.context_length", c.context_length);
  writer.add_uint32("qwen3.embedding_length", c.hidden);
  writer.add_uint32("qwen3.feed_forward_length", c.ffn);
  writer.add_uint32("qwen3.attention.head_count", c.heads);
  writer.add_uint32("qwen3.attention.head_count_kv", c.kv_heads);
  writer.add_float32("qwen3.rope.freq_base", model.config.rope_theta);
  writer.add_float32("qwen3.attention.layer_norm_rms_epsilon", model.config.rms_epsilon);
  writer.add_uint32("qwen3.attention.key_length", c.head_dim);
  writer.add_uint32("qwen3.attention.value_length", c.head_dim);
  if (model.pooling.has_value()) writer.add_uint32("qwen3.pooling_type", static_cast<std::uint32_t>(*model.pooling));
  const HfTokenizer& tokenizer = model.tokenizer;
  writer.add_string("tokenizer.ggml.model", "gpt2");
  writer.add_string("tokenizer.ggml.pre", "qwen2");
  writer.add_string_array("tokenizer.ggml.tokens", tokenizer.vocabulary.tokens);
  writer.add_int32_array("tokenizer.ggml.token_type", tokenizer.vocabulary.types);
  writer.add_string_array("tokenizer.ggml.merges", tokenizer.vocabulary.merges);
  writer.add_uint32("tokenizer.ggml.eos_token_id", tokenizer.vocabulary.end_of_turn_id);
  if (tokenizer.eot_token_id.has_value()) writer.add_uint32("tokenizer.ggml.eot_token_id", *tokenizer.eot_token_id);
  if (tokenizer.pad_token_id.has_value()) {
    writer.add_uint32("tokenizer.ggml.padding_token_id", *tokenizer.pad_token_id);
  }
  if (tokenizer.bos_token_id.has_value()) writer.add_uint32("tokenizer.ggml.bos_token_id", *tokenizer.bos_token_id);
  writer.add_bool("tokenizer.ggml.add_bos_token", tokenizer.adds_bos);
  if (tokenizer.adds_eos.has_value()) writer.add_bool("tokenizer.ggml.add_eos_token", *tokenizer.adds_eos);
  if (!tokenizer.chat_template.empty()) writer.add_string("tokenizer.chat_template", tokenizer.chat_template);
  writer.add_uint32("general.file_type", options.file_type.number);
  writer.add_uint32("general.quantization_version", kQuantizationVersion);
}

}  // namespace

Result<ConvertReport> convert_checkpoint(const ConvertOptions& options) {
  const InterruptGuard guard;
  TRY(const Model model, read_model(options.directory));
  TRY_STATUS(check_options(options, model.checkpoint));
  const std::vector<SynthTensor> tensors = synth_tensors(model.config.shape);
  ConvertReport report;
  for (const SynthTensor& tensor : tensors) {
    std::uint64_t weights = 1;
    for (const std::uint64_t size : tensor.shape) weights *= size;  // read_hf_config's limits: below 2^40
    report.weights += weights;
  }
  Progress progress("convert", "weights", report.weights, kQuietFor);
  TRY(const std::vector<TensorRecode> recodes, plan(model, tensors, options.file_type, progress));
  gguf::Writer writer;
  add_metadata(options, model, writer);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    writer.add_tensor(tensors[i].name, recodes[i].to, tensors[i].shape);
    report.tensor_bytes += gguf::Writer::tensor_bytes(recodes[i].to, tensors[i].shape);
    report.in_bytes += recodes[i].bytes.size();
  }
  TRY_STATUS(writer.begin(options.out_path));
  TensorRecoder recoder(options.threads, progress, writer);
  for (const TensorRecode& recode : recodes) {
    TRY_STATUS(recoder.append(recode));
    const CheckpointTensor& done = *model.checkpoint.find(recode.name);
    done.part->release(*done.tensor);
  }
  TRY_STATUS(writer.finish());
  report.out_bytes = writer.file_bytes();
  report.seconds = progress.seconds();
  return report;
}

}  // namespace dormouse::worker
