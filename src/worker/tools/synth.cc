#include "worker/tools/synth.h"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "gguf/writer.h"
#include "worker/tools/parallel_rows.h"
#include "worker/tools/progress.h"
#include "worker/tools/random_weights.h"
#include "worker/tools/vocabulary.h"

namespace dormouse::worker {
namespace {

// Weights in one chunk of noise with its own seed. A multiple of every block size; 2^20 weights are 0.6 to 4 MB, so
// that a batch of them per thread stays in the last-level cache until it is written.
constexpr std::uint64_t kChunkWeights = 1U << 20;
constexpr std::uint64_t kChunksPerThread = 4;
constexpr float kRmsEpsilon = 1e-6F;
constexpr float kRopeTheta = 1e6F;  // Qwen3; the 2507 releases use 5e6

// Keys and their types exactly as llama.cpp's converter writes them for Qwen3.
void add_metadata(const SynthOptions& options, gguf::Writer& writer) {
  const SynthConfig& c = options.config;
  writer.add_string("general.architecture", "qwen3");
  writer.add_string("general.type", "model");
  writer.add_string("general.name", std::string("Noise in the shape of ") + std::string(c.name));
  writer.add_string("general.basename", "Qwen3-noise");
  writer.add_string("general.size_label", c.size_label);
  writer.add_uint32("qwen3.block_count", c.layers);
  writer.add_uint32("qwen3.context_length", c.context_length);
  writer.add_uint32("qwen3.embedding_length", c.hidden);
  writer.add_uint32("qwen3.feed_forward_length", c.ffn);
  writer.add_uint32("qwen3.attention.head_count", c.heads);
  writer.add_uint32("qwen3.attention.head_count_kv", c.kv_heads);
  writer.add_float32("qwen3.rope.freq_base", kRopeTheta);
  writer.add_float32("qwen3.attention.layer_norm_rms_epsilon", kRmsEpsilon);
  writer.add_uint32("qwen3.attention.key_length", c.head_dim);
  writer.add_uint32("qwen3.attention.value_length", c.head_dim);
  writer.add_uint32("general.file_type", options.file_type.number);
  writer.add_uint32("general.quantization_version", 2);
}

void add_vocabulary(const SynthOptions& options, const Vocabulary& vocabulary, gguf::Writer& writer) {
  writer.add_string("tokenizer.ggml.model", "gpt2");
  writer.add_string("tokenizer.ggml.pre", "qwen2");
  writer.add_string_array("tokenizer.ggml.tokens", vocabulary.tokens);
  writer.add_int32_array("tokenizer.ggml.token_type", vocabulary.types);
  writer.add_string_array("tokenizer.ggml.merges", vocabulary.merges);
  writer.add_uint32("tokenizer.ggml.eos_token_id", vocabulary.end_of_turn_id);
  writer.add_uint32("tokenizer.ggml.padding_token_id", vocabulary.end_of_text_id);
  writer.add_uint32("tokenizer.ggml.bos_token_id", vocabulary.end_of_text_id);
  writer.add_bool("tokenizer.ggml.add_bos_token", false);
  writer.add_string("tokenizer.chat_template", options.chat_template);
}

struct PlannedTensor {
  SynthTensor tensor;
  TensorType type = TensorType::kF32;
  std::uint64_t weights = 0;
};

std::vector<PlannedTensor> plan_tensors(const SynthOptions& options) {
  const SynthConfig& c = options.config;
  const ModelShape shape{.layers = c.layers, .heads_per_kv_head = c.heads / c.kv_heads, .is_tied = c.is_tied};
  std::vector<PlannedTensor> out;
  for (SynthTensor& tensor : synth_tensors(c)) {
    const int dimensions = static_cast<int>(tensor.shape.size());
    const TensorType type =
        choose_type(options.file_type.type, shape, tensor.name, dimensions, tensor.shape.front()).type;
    std::uint64_t weights = 1;
    for (const std::uint64_t size : tensor.shape) weights *= size;  // our own table: at most 6.3e8
    out.push_back({std::move(tensor), type, weights});
  }
  return out;
}

std::uint64_t mix(std::uint64_t seed, std::uint64_t tensor, std::uint64_t chunk) {
  NoiseSource source(seed ^ (tensor << 32) ^ chunk);
  return source.next();
}

Status write_tensor(const SynthOptions& options, const PlannedTensor& planned, std::uint64_t tensor_index,
                    std::vector<std::uint8_t>& buffer, gguf::Writer& writer) {
  const TensorTypeTraits t = traits(planned.type);
  const std::uint64_t chunks = (planned.weights + kChunkWeights - 1) / kChunkWeights;
  const std::uint64_t batch = kChunksPerThread * static_cast<std::uint64_t>(std::max(options.threads, 1));
  const auto bytes_of = [&](std::uint64_t weights) { return weights / t.block_elements * t.block_bytes; };
  for (std::uint64_t first = 0; first < chunks; first += batch) {
    if (InterruptGuard::is_interrupted()) return make_error(Code::kCancelled, "interrupted; nothing was written");
    const std::uint64_t count = std::min(batch, chunks - first);
    const std::uint64_t weights = std::min(count * kChunkWeights, planned.weights - first * kChunkWeights);
    buffer.resize(std::max<std::size_t>(buffer.size(), bytes_of(weights)));
    parallel_rows(options.threads, count, [&](std::uint64_t begin, std::uint64_t end) {
      for (std::uint64_t i = begin; i < end; ++i) {
        NoiseSource noise(mix(options.seed, tensor_index, first + i));
        const std::uint64_t n = std::min(kChunkWeights, weights - i * kChunkWeights);
        fill_random_weights(planned.type, planned.tensor.sigma, noise, buffer.data() + bytes_of(i * kChunkWeights), n);
      }
    });
    TRY_STATUS(writer.append(std::span(buffer).first(bytes_of(weights))));
  }
  return {};
}

}  // namespace

Result<SynthReport> synthesize(const SynthOptions& options) {
  const InterruptGuard guard;
  Vocabulary vocabulary;
  if (options.vocabulary_directory.empty()) {
    vocabulary = make_vocabulary(options.config.vocab);
  } else {
    TRY(vocabulary, read_vocabulary(options.vocabulary_directory, options.config.vocab));
  }
  gguf::Writer writer;
  add_metadata(options, writer);
  add_vocabulary(options, vocabulary, writer);
  const std::vector<PlannedTensor> tensors = plan_tensors(options);
  SynthReport report;
  for (const PlannedTensor& planned : tensors) {
    writer.add_tensor(planned.tensor.name, planned.type, planned.tensor.shape);
    report.weights += planned.weights;
  }
  Progress progress("synth", "weights", report.weights);
  TRY_STATUS(writer.begin(options.out_path));
  std::vector<std::uint8_t> buffer;
  std::uint64_t done = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    TRY_STATUS(write_tensor(options, tensors[i], i, buffer, writer));
    done += tensors[i].weights;
    progress.update(done, tensors[i].tensor.name);
  }
  TRY_STATUS(writer.finish());
  report.file_bytes = writer.file_bytes();
  report.seconds = progress.seconds();
  return report;
}

}  // namespace dormouse::worker
