// Goal: `perplexity` as a person runs it. Method: the demo model on a committed text; the figure of one window is
// computed again here, with the engine and nothing else of ours; tables and arithmetics against each other; each error
// by its sentence and exit code.
#include "worker/tools/perplexity.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>
#include <fstream>
#include <iterator>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "text/tokenizer.h"
#include "worker/tools/forced_model.h"
#include "worker/tools/quantize.h"
#include "worker/tools/tools.h"

namespace dormouse::worker {
namespace {

const std::string kDemo = std::string(DORMOUSE_SOURCE_DIR) + "/models/qwen3-demo-q8_0.gguf";
const std::string kText = std::string(DORMOUSE_SOURCE_DIR) + "/tests/clients/texts.txt";

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The kernel tables this CPU runs, the fastest last.
std::vector<std::string> supported_tables() {
  std::vector<std::string> out;
  for (const char* isa : {"scalar", "avx2", "avx512", "amx"}) {
    ForcedModelOptions options;
    options.isa = isa;
    options.context = kMinWindowTokens;
    if (ForcedModel::open(kDemo, options).has_value()) out.emplace_back(isa);
  }
  return out;
}

// Whole lines of the text, at least so many bytes.
std::string beginning(std::size_t bytes) {
  const std::string text = read(kText);
  return text.substr(0, text.find('\n', bytes) + 1);
}

// exp of the mean loss of window[size / 2 + 1 ...], all rows in one plan.
double perplexity_of_window(const std::vector<sched::TokenId>& window) {
  const auto file = gguf::File::open(kDemo);
  const auto size = static_cast<std::int32_t>(window.size());
  engine::EngineOptions options;
  options.max_batch_tokens = options.max_logits_rows = size;
  options.kv_pages = size / sched::kPageTokens + 1;
  const auto engine = engine::Engine::load(*file, nullptr, options, {});
  std::vector<sched::PageId> pages(static_cast<std::size_t>(options.kv_pages));
  std::iota(pages.begin(), pages.end(), 0);
  sched::BatchPlan plan;
  plan.token_count = plan.logits_count = size;
  sched::PlanEntry entry;
  entry.tokens = window;
  entry.pages = pages;
  entry.wants_all_logits = true;
  plan.entries.push_back(entry);
  const auto logits = (*engine)->step(plan);
  const auto vocab = static_cast<std::size_t>((*engine)->config().vocab);
  double loss = 0;
  int count = 0;
  for (std::size_t i = window.size() / 2; i + 1 < window.size(); ++i, ++count) {
    double sum = 0;
    for (std::size_t token = 0; token < vocab; ++token) sum += std::exp((*logits)[i * vocab + token]);
    loss += std::log(sum) - (*logits)[i * vocab + static_cast<std::size_t>(window[i + 1])];
  }
  return std::exp(loss / count);
}

class PerplexityTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto folder = TemporaryFolder::create();
    ASSERT_TRUE(folder.has_value()) << folder.error().message;
    folder_ = std::make_unique<TemporaryFolder>(*std::move(folder));
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static std::string path(const char* name) { return folder_->path() + "/" + name; }
  static std::string write(const char* name, const std::string& text) {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }
  static PerplexityResult measure(const std::string& file, const std::string& text, std::int32_t context,
                                  const std::string& against = {}, const std::string& isa = {},
                                  const std::string& reference_isa = "scalar") {
    PerplexityOptions options;
    options.file = file;
    options.text_path = text;
    options.context = context;
    options.against = against;
    options.isa = isa;
    options.reference_isa = reference_isa;
    const auto result = measure_perplexity(options, {});
    EXPECT_TRUE(result.has_value()) << result.error().message;
    return result.has_value() ? *result : PerplexityResult{};
  }
  struct Outcome {
    int exit_code;
    std::string out;
    std::string err;
  };
  static Outcome run(int (*command)(int, char**), std::vector<std::string> words) {
    words.insert(words.begin(), "command");
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int exit_code = command(static_cast<int>(words.size()), argv.data());
    std::string out = testing::internal::GetCapturedStdout();
    return {exit_code, std::move(out), testing::internal::GetCapturedStderr()};
  }

  static inline std::unique_ptr<TemporaryFolder> folder_;
};

TEST_F(PerplexityTest, OneWindowIsWhatTheDefinitionSays) {
  constexpr std::int32_t kWindow = 300;  // both halves need more than one piece, and neither divides
  const auto file = gguf::File::open(kDemo);
  const auto tokenizer = text::Tokenizer::from_gguf(*file);
  auto tokens = tokenizer->encode(read(kText), text::SpecialTokens::kAsText);
  ASSERT_GE(tokens.size(), 2U * kWindow);
  tokens.resize(kWindow);
  // What is left over after the window is not used: a second one would be, so the text ends before it.
  const std::string used = beginning(tokenizer->decode(tokens).size());
  const PerplexityResult result = measure(kDemo, write("one.txt", used), kWindow);
  EXPECT_EQ(result.windows, 1);
  EXPECT_EQ(result.tokens_scored, kWindow / 2 - 1);
  EXPECT_EQ(result.tokens_computed, kWindow - 1);
  EXPECT_GT(result.perplexity.error, 0);
  EXPECT_NEAR(result.perplexity.value, perplexity_of_window(tokens), 1e-9 * result.perplexity.value);
}

TEST_F(PerplexityTest, GeneratedArithmeticGivesTheSameNumberInEveryTable) {
  const std::string text = write("short.txt", beginning(900));
  std::vector<double> values;
  for (const std::string& isa : supported_tables()) {
    const PerplexityResult result = measure(kDemo, text, 64, "", isa);
    EXPECT_EQ(result.isa, isa);
    EXPECT_GE(result.windows, 2);
    values.push_back(result.perplexity.value);
  }
  for (const double value : values) EXPECT_EQ(value, values[0]);
}

TEST_F(PerplexityTest, AReferenceOfTheSameFloatWeightsIsReachedExactlyAndQuantisedOnesNearly) {
  const std::string text = write("short.txt", beginning(900));
  QuantizeOptions half;
  half.in_path = kDemo;
  half.out_path = path("demo-f16.gguf");
  half.file_type = *find_file_type("F16");
  half.allow_requantize = true;
  ASSERT_TRUE(quantize_file(half).has_value());

  const PerplexityResult same = measure(half.out_path, text, 64, "self");
  ASSERT_TRUE(same.against.has_value());
  EXPECT_EQ(same.against->distance.divergence_max, 0);
  EXPECT_EQ(same.against->distance.same_top.value, 1);
  EXPECT_EQ(same.against->perplexity.value, same.perplexity.value);

  for (const std::string& against : {std::string("self"), half.out_path}) {
    const PerplexityResult near = measure(kDemo, text, 64, against);
    ASSERT_TRUE(near.against.has_value());
    EXPECT_GT(near.against->distance.divergence.value, 0) << against;
    EXPECT_LT(near.against->distance.divergence.value, 2e-3) << against;  // kld_test's gate
    EXPECT_GE(near.against->distance.divergence_max, near.against->distance.divergence_p99);
    EXPECT_GT(near.against->distance.same_top.value, 0.9);
  }
}

TEST_F(PerplexityTest, TheReferencesTableDoesNotMatter) {
  const std::string text = write("short.txt", beginning(400));
  const std::string fastest = supported_tables().back();
  const Distance scalar = measure(kDemo, text, 32, "self").against->distance;
  EXPECT_EQ(measure(kDemo, text, 32, "self", "", fastest).against->distance.divergence.value, scalar.divergence.value);
}

TEST_F(PerplexityTest, PrintsATableOrOneJsonObject) {
  const std::string text = write("short.txt", beginning(900));
  const std::vector<std::string> words{kDemo, "--text", text, "--context", "64", "--kl-against", "self"};
  const Outcome table = run(run_perplexity, words);
  EXPECT_EQ(table.exit_code, 0) << table.err;
  for (const char* part : {"perplexity", "±", "KL divergence, mean", "nats", "same likeliest token", "tokens/s"}) {
    EXPECT_NE(table.out.find(part), std::string::npos) << part << " in\n" << table.out;
  }
  std::vector<std::string> with_json = words;
  with_json.insert(with_json.end(), {"--json", "--arithmetic", "prompt"});
  const Outcome object = run(run_perplexity, with_json);
  ASSERT_EQ(object.exit_code, 0) << object.err;
  boost::system::error_code ec;
  const boost::json::value parsed = boost::json::parse(object.out, ec);
  ASSERT_FALSE(ec) << object.out;
  EXPECT_GT(parsed.at("perplexity").at("value").as_double(), 1);
  EXPECT_EQ(parsed.at("arithmetic").as_string(), "prompt");
  EXPECT_GT(parsed.at("against").at("kl_divergence").at("max").as_double(), 0);
  EXPECT_EQ(run(run_perplexity, {"--help"}).exit_code, 0);
}

TEST_F(PerplexityTest, MistakesAreOneSentenceAndAnExitCode) {
  ASSERT_EQ(run(run_synth, {"--config", "tiny", "--type", "F16", path("tiny.gguf")}).exit_code, 0);
  const std::string text = write("short.txt", beginning(900));
  const std::string tiny_text = write("tiny.txt", "moon");
  const std::string broken = write("broken.txt", "moon \xff over water");
  struct Case {
    std::vector<std::string> words;
    int exit_code;
    const char* sentence;
  };
  const std::vector<Case> cases{
      {{kDemo}, 2, "--text is required"},
      {{kDemo, "--text", text, "--context", "4"}, 2, "--context"},
      {{kDemo, "--text", text, "--arithmetic", "exact"}, 2, "--arithmetic"},
      {{kDemo, "--text", path("none.txt")}, 1, "none.txt"},
      {{path("none.gguf"), "--text", text}, 1, "none.gguf"},
      {{kDemo, "--text", tiny_text, "--context", "64"}, 1, "less than one window of 64"},
      {{kDemo, "--text", broken}, 1, "not UTF-8 at byte 5"},
      {{kDemo, "--text", text, "--context", "1000000"}, 1, "beyond the model's"},
      {{kDemo, "--text", text, "--context", "64", "--isa", "mmx"}, 1, "no kernels named 'mmx'"},
      {{kDemo, "--text", text, "--context", "64", "--kl-against", path("tiny.gguf")}, 1, "the vocabularies differ"},
      {{kDemo, "--text", text, "--context", "64", "--kl-against", path("none.gguf")}, 1, "none.gguf"},
  };
  for (const Case& c : cases) {
    const Outcome outcome = run(run_perplexity, c.words);
    EXPECT_EQ(outcome.exit_code, c.exit_code) << c.sentence;
    EXPECT_NE(outcome.err.find(c.sentence), std::string::npos) << c.sentence << " in " << outcome.err;
    EXPECT_TRUE(outcome.out.empty()) << outcome.out;
  }
}

}  // namespace
}  // namespace dormouse::worker
