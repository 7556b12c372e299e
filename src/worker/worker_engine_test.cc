// Goal: the worker with the real engine: a text does not depend on the company it is computed in, the golden record is
// kept and believed, and a worker process leaves nothing behind. Method: a tiny model of noise made by `synth`, the
// real loader, real processes.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <future>

#include "base/subprocess.h"
#include "worker/model.h"
#include "worker/tools/tools.h"
#include "worker/worker.h"
#include "worker/worker_fixture_test.h"

namespace dormouse::worker {
namespace {

using http::TestServer;

class WorkerEngine : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string pattern = (std::filesystem::temp_directory_path() / "dormouse-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory = pattern;
    std::array<std::string, 6> words{"synth", "--config", "tiny", "--type", "F32", directory + "/tiny.gguf"};
    std::array<char*, 7> argv{};
    for (std::size_t i = 0; i < words.size(); ++i) argv[i] = words[i].data();
    ASSERT_EQ(run_synth(static_cast<int>(words.size()), argv.data()), 0);
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(directory); }

  static WorkerHarness::Options real_model(const std::string& golden_directory = {}) {
    LoadOptions load;
    load.path = directory + "/tiny.gguf";
    load.golden_directory = golden_directory;
    load.max_sequences = 16;
    load.max_batch_tokens = 64;
    load.threads = 2;
    return of_file(std::move(load));
  }

  static inline std::string directory;
};

std::string completion(const std::string& prompt, const std::string& more) {
  return R"({"model":"fake","prompt":")" + prompt + "\"," + more + "}";
}

TEST_F(WorkerEngine, ATextAtTemperatureZeroIsTheSameAloneAndInAnyBatch) {
  WorkerHarness harness(real_model());
  ASSERT_TRUE(harness.wait_ready());
  constexpr std::size_t kCount = 10;
  const auto body = [](std::size_t i, const char* more) {
    // From one token to prompts of several chunks.
    std::string prompt;
    const std::size_t length = i * i * 2 + 1;
    for (std::size_t k = 0; k < length; ++k) prompt += static_cast<char>('a' + static_cast<int>((k * 7 + i) % 26));
    return completion(prompt, more);
  };
  for (const char* more : {R"("temperature":0,"max_tokens":24,"stream":true,"ignore_eos":true)",
                           R"("temperature":0.9,"seed":5,"max_tokens":24,"stream":true,"ignore_eos":true)"}) {
    std::vector<std::string> alone;
    for (std::size_t i = 0; i < kCount; ++i) {
      alone.push_back(streamed_text(harness.post("/v1/completions", body(i, more)).body));
      EXPECT_FALSE(alone.back().empty());
    }
    std::vector<std::future<std::string>> together;
    for (std::size_t i = 0; i < kCount; ++i) {
      together.push_back(std::async(std::launch::async, [&harness, text = body(i, more)] {
        return streamed_text(harness.post("/v1/completions", text).body);
      }));
    }
    for (std::size_t i = 0; i < kCount; ++i) EXPECT_EQ(together[i].get(), alone[i]) << more << " prompt " << i;
  }
}

TEST_F(WorkerEngine, ATextDoesNotDependOnWhatThePrefixCacheHeld) {
  WorkerHarness harness(real_model());
  ASSERT_TRUE(harness.wait_ready());
  std::string long_prompt;
  for (int k = 0; k < 150; ++k) long_prompt += static_cast<char>('a' + (k * k + 3 * k) % 26);
  // A tenant of its own finds nothing.
  const auto ask = [&](std::size_t length, const std::string& more, const std::string& tenant) {
    const http::RawAnswer answer = harness.post("/v1/completions", completion(long_prompt.substr(0, length), more),
                                                "x-dormouse-tenant: " + tenant + "\r\n");
    Result<api::ParsedChunk> parsed = api::parse_chunk(answer.body);
    EXPECT_TRUE(parsed.has_value() && parsed->usage.has_value() && !parsed->choices.empty()) << answer.body;
    return std::pair(parsed->choices.at(0).content, parsed->usage->cached_tokens);
  };
  int tenants = 0;
  for (const char* more : {R"("temperature":0,"max_tokens":40,"ignore_eos":true)",
                           R"("temperature":0.9,"seed":5,"max_tokens":40,"ignore_eos":true)"}) {
    ask(150, more, "common");
    // Shorter ones find a part, and end elsewhere in a page.
    for (const std::size_t length : {std::size_t{150}, std::size_t{128}, std::size_t{100}, std::size_t{65}}) {
      const auto [computed, none] = ask(length, more, std::to_string(++tenants));
      const auto [text, found] = ask(length, more, "common");
      EXPECT_EQ(text, computed) << more << " length " << length << ", found " << found;
      EXPECT_EQ(none, 0);
      EXPECT_GT(found, 0);
    }
  }
}

TEST_F(WorkerEngine, ATextIsTheSameWithAndWithoutGuesses) {
  // The demo model writes verse; asked for more than a poem it repeats itself.
  LoadOptions load;
  load.path = std::string(DORMOUSE_SOURCE_DIR) + "/models/qwen3-demo-q8_0.gguf";
  load.max_sequences = 4;
  load.max_batch_tokens = 64;
  load.threads = 2;
  const std::vector<std::string> requests = {
      completion("春風 春風 明月 春風 春風", R"("temperature":0,"max_tokens":120,"ignore_eos":true)"),
      completion("白日依山盡，黃河入海流。白日依山", R"("temperature":0,"max_tokens":80,"ignore_eos":true,"n":2)"),
      completion("春風 春風 明月 春風 春風", R"("temperature":0.6,"seed":7,"max_tokens":120,"ignore_eos":true)"),
      completion("白日依山盡，黃河入海流。白日依山", R"("temperature":0.8,"seed":11,"top_p":0.9,"max_tokens":80,
                 "ignore_eos":true,"presence_penalty":0.5,"logprobs":2)")};
  std::vector<std::string> plain;
  for (const sched::Speculation speculation :
       {sched::Speculation::kOff, sched::Speculation::kNgram, sched::Speculation::kAuto}) {
    WorkerHarness::Options options = of_file(load);
    options.serve.generator.speculation = speculation;
    WorkerHarness harness(std::move(options));
    ASSERT_TRUE(harness.wait_ready());
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const http::RawAnswer answer = harness.post("/v1/completions", requests[i]);
      ASSERT_EQ(answer.status, 200) << answer.body;
      // Texts, reasons, log probabilities and usage; not the id and the time.
      const std::string choices = answer.body.substr(answer.body.find("\"choices\""));
      if (speculation == sched::Speculation::kOff)
        plain.push_back(choices);
      else
        EXPECT_EQ(choices, plain[i]);
    }
    const double drafted = harness.metric("vllm:spec_decode_num_draft_tokens_total");
    const double accepted = harness.metric("vllm:spec_decode_num_accepted_tokens_total");
    std::printf("%.0f of %.0f guesses were right\n", accepted, drafted);
    EXPECT_EQ(drafted > 0, speculation != sched::Speculation::kOff);
    // What auto does after its first guesses depends on how long steps take.
    if (speculation == sched::Speculation::kNgram) {
      EXPECT_GT(accepted, 0);
    }
    EXPECT_LE(accepted, drafted);
  }
}

TEST_F(WorkerEngine, TheGoldenRecordIsMadeOnceThenComparedAndADifferentOneEndsTheWorker) {
  const std::string golden = directory + "/golden/made";
  const std::string request = completion("hello", R"("max_tokens":2)");
  for (int wake = 0; wake < 2; ++wake) {
    WorkerHarness harness(real_model(golden));
    ASSERT_TRUE(harness.wait_ready());
    EXPECT_EQ(harness.post("/v1/completions", request).status, 200) << "wake " << wake;
    const std::filesystem::directory_iterator files(golden);
    EXPECT_EQ(std::distance(begin(files), end(files)), 1);
  }
  const std::filesystem::path record = std::filesystem::directory_iterator(golden)->path();
  std::string text;
  {
    std::ifstream in(record);
    std::getline(in, text);
  }
  // The second word is the first row's most likely token.
  const std::size_t first = text.find(' ');
  std::ofstream(record) << text.substr(0, first) << " 12345" << text.substr(text.find(' ', first + 1)) << "\n";
  WorkerHarness harness(real_model(golden));
  ASSERT_TRUE(harness.wait_ready());
  EXPECT_NE(harness.post("/v1/completions", request).status, 200);
  EXPECT_EQ(harness.wait_exit(), 3);
  // A record that is not one is made again.
  std::ofstream(record) << "rubbish";
  WorkerHarness again(real_model(golden));
  ASSERT_TRUE(again.wait_ready());
  EXPECT_EQ(again.post("/v1/completions", request).status, 200);
}

// Goal: weights damaged on disk are found beside the work, the pack is deleted, the worker ends; the next one packs
// again.
TEST_F(WorkerEngine, ADamagedPackIsFoundDeletedAndMadeAgain) {
  const std::string folder = directory + "/packed";
  std::filesystem::create_directory(folder);
  const auto options = [&] {
    LoadOptions load;
    load.path = directory + "/tiny.gguf";
    load.packed_directory = folder;
    load.max_sequences = 16;
    load.max_batch_tokens = 64;
    load.threads = 2;
    WorkerHarness::Options out;
    out.serve.served_model_name = "fake";
    out.loader = [load](const LoadProgress& progress) { return load_model(load, progress); };
    return out;
  };
  const auto files = [&] {
    std::vector<std::filesystem::path> out;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) out.push_back(entry.path());
    std::sort(out.begin(), out.end());
    return out;
  };
  {
    WorkerHarness harness(options());
    ASSERT_TRUE(harness.wait_ready());
    EXPECT_TRUE(TestServer::eventually([&] { return files().size() == 2; })) << "no marker of a good pack";
  }
  const std::filesystem::path pack = files().at(0);
  const std::filesystem::path marker = files().at(1);
  EXPECT_EQ(marker.string(), pack.string() + ".verified");
  std::filesystem::remove(marker);
  {
    std::fstream bytes(pack, std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekp(2 << 20);  // the first matrix
    bytes.put('\x7F');
    bytes.put('\x7F');
  }
  WorkerHarness damaged(options());
  EXPECT_EQ(damaged.wait_exit(), 3);
  EXPECT_FALSE(std::filesystem::exists(pack));
  WorkerHarness again(options());
  ASSERT_TRUE(again.wait_ready());
  EXPECT_EQ(again.post("/v1/completions", completion("hello", R"("max_tokens":2)")).status, 200);
}

// Goal: a start uses the tokenizer's tables where they lie in the packed file, builds them where they cannot be used,
// and packs again what another version packed. Method: load_model() alone, and where Tokenizer::flat() lies.
TEST_F(WorkerEngine, TheTokenizerIsUsedWhereItLiesInThePack) {
  LoadOptions load;
  load.path = directory + "/tiny.gguf";
  load.packed_directory = directory + "/tables";
  load.threads = 2;
  std::filesystem::create_directory(load.packed_directory);
  const Result<gguf::File> file = gguf::File::open(load.path);
  ASSERT_TRUE(file.has_value());
  const Result<text::Tokenizer> built = text::Tokenizer::from_gguf(*file);
  ASSERT_TRUE(built.has_value());
  const std::string path = pack::packed_path(load.path, load.packed_directory, file->mapping()->identity().inode);
  const auto is_mapped = [&] {
    const Result<LoadedModel> model = load_model(load, {});
    EXPECT_TRUE(model.has_value() && model->packed != nullptr);
    if (!model.has_value() || model->packed == nullptr) return false;
    const std::string text = "The moon <|im_end|><think> \xff";
    EXPECT_EQ(model->tokenizer->encode(text, text::SpecialTokens::kParse),
              built->encode(text, text::SpecialTokens::kParse));
    return model->tokenizer->flat().data() == model->packed->tokenizer_tables().data();
  };
  const auto turn_byte = [&](std::uint64_t at) {
    std::fstream bytes(path, std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekg(static_cast<std::streamoff>(at));
    const int old = bytes.get();
    bytes.seekp(static_cast<std::streamoff>(at));
    bytes.put(static_cast<char>(old ^ 1));
  };
  std::string old = path;
  old.replace(old.rfind(".v"), std::string::npos, ".v1.dpack");
  std::ofstream(old) << "an older layout";
  EXPECT_TRUE(is_mapped());  // packed now
  EXPECT_FALSE(std::filesystem::exists(old));
  const auto written = std::filesystem::last_write_time(path);
  EXPECT_TRUE(is_mapped());
  EXPECT_EQ(std::filesystem::last_write_time(path), written);
  pack::Header header;
  std::ifstream(path, std::ios::binary).read(reinterpret_cast<char*>(&header), sizeof header);
  turn_byte(header.tables_offset);  // not tables any more
  const auto damaged = std::filesystem::last_write_time(path);
  EXPECT_FALSE(is_mapped());
  EXPECT_EQ(std::filesystem::last_write_time(path), damaged);
  turn_byte(offsetof(pack::Header, layout_version));
  EXPECT_TRUE(is_mapped());
  EXPECT_NE(std::filesystem::last_write_time(path), damaged);
}

// Goal: without room for a packed file the model is served all the same.
TEST_F(WorkerEngine, AFolderThatCannotBeWrittenMeansPackingIntoMemory) {
  LoadOptions load;
  load.path = directory + "/tiny.gguf";
  load.packed_directory = directory + "/no/such/folder";
  load.max_sequences = 16;
  load.max_batch_tokens = 64;
  WorkerHarness harness(of_file(load));
  ASSERT_TRUE(harness.wait_ready());
  EXPECT_EQ(harness.post("/v1/completions", completion("hello", R"("max_tokens":2)")).status, 200);
  EXPECT_FALSE(std::filesystem::exists(load.packed_directory));
}

class Process {
 public:
  Process(const std::string& directory, const std::string& control) : socket(directory + "/process.sock") {
    SubprocessOptions options;
    options.argv = {DORMOUSE_WORKER_PATH, "serve", "--model", directory + "/tiny.gguf", "--listen", "unix:" + socket};
    if (!control.empty()) {
      options.argv.insert(options.argv.end(), {"--control", control, "--lease", "l", "--epoch", "1"});
    }
    Result<Subprocess> spawned = Subprocess::spawn(options);
    if (spawned.has_value()) child.emplace(*std::move(spawned));
  }
  // Within 10 s; the caller's own clock is not asked.
  std::optional<ExitStatus> wait() {
    std::optional<ExitStatus> out;
    TestServer::eventually([&] {
      const Result<ExitStatus> status = child->try_wait();
      if (status.has_value()) out = *status;
      return out.has_value();
    });
    return out;
  }
  bool answers() {
    return TestServer::eventually([&] {
      if (!std::filesystem::exists(socket)) return false;
      http::RawClient client({.kind = http::Address::Kind::kUnix, .path = socket, .host = {}, .port = 0});
      client.send("GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
      return client.read_answer().status == 200;
    });
  }
  const std::string socket;
  std::optional<Subprocess> child;
};

// Goal: a file whose tensors lie is refused before anything is packed: no abort, no pack, no temporary file. Method:
// the shapes of a real model with one row length changed, as a process.
TEST_F(WorkerEngine, AFileThatLiesAboutATensorIsRefusedBeforePacking) {
  const std::string folder = directory + "/lying";
  std::filesystem::create_directory(folder);
  std::string bytes;
  {
    std::ifstream in(directory + "/tiny.gguf", std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  const std::string name = "blk.0.attn_k.weight";
  const std::size_t at = bytes.find(name);
  ASSERT_NE(at, std::string::npos);
  bytes[at + 10] = 'z';  // attn_k is missing, and a tensor that no model has is there
  std::ofstream(folder + "/tiny.gguf", std::ios::binary) << bytes;
  Process process(folder, "");
  ASSERT_TRUE(process.child.has_value());
  const std::optional<ExitStatus> status = process.wait();
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->signal, 0);
  EXPECT_EQ(status->exit_code, 2);
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    EXPECT_EQ(entry.path().filename(), "tiny.gguf");
  }
}

TEST_F(WorkerEngine, AProcessWhoseGatewayIsGoneEndsAndLeavesNothing) {
  FakeGateway gateway;
  Process process(directory, gateway.address());
  ASSERT_TRUE(process.child.has_value());
  ASSERT_TRUE(process.answers());
  gateway.vanish();
  const std::optional<ExitStatus> status = process.wait();
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(process.socket));
}

TEST_F(WorkerEngine, AProcessWithoutAGatewayEndsOnATermSignalAndLeavesNothing) {
  Process process(directory, "");
  ASSERT_TRUE(process.child.has_value());
  ASSERT_TRUE(process.answers());
  process.child->signal_group(SIGTERM);
  const std::optional<ExitStatus> status = process.wait();
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(process.socket));
}

TEST_F(WorkerEngine, AFileCutShortWhileMappedEndsTheWorkerWithItsOwnExitCode) {
  const std::string folder = directory + "/cut";
  std::filesystem::create_directory(folder);
  std::filesystem::copy_file(directory + "/tiny.gguf", folder + "/tiny.gguf");
  Process process(folder, "");
  ASSERT_TRUE(process.child.has_value());
  ASSERT_TRUE(process.answers());
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".dpack") std::filesystem::resize_file(entry.path(), 4096);
  }
  http::RawClient client({.kind = http::Address::Kind::kUnix, .path = process.socket, .host = {}, .port = 0});
  const std::string body = R"({"prompt":"hello","max_tokens":4})";
  client.send("POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body);
  const std::optional<ExitStatus> status = process.wait();
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->exit_code, kExitFileCut);
}

TEST_F(WorkerEngine, BenchPrintsOneJsonObjectWithEverySpeed) {
  std::vector<std::string> words{
      "bench", directory + "/tiny.gguf", "--prefill", "16", "--tokens", "2", "--json", "--streams", "1,3", "--isa",
      "scalar"};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  testing::internal::CaptureStdout();
  const int status = run_bench(static_cast<int>(argv.size()), argv.data());
  const std::string text = testing::internal::GetCapturedStdout();
  ASSERT_EQ(status, 0);
  boost::system::error_code ec;
  const boost::json::value parsed = boost::json::parse(text, ec);
  ASSERT_FALSE(ec) << text;
  const boost::json::object& result = parsed.as_object();
  EXPECT_EQ(result.at("isa").as_string(), "scalar");
  EXPECT_GT(result.at("prefill_tps").at("median").as_double(), 0);
  EXPECT_EQ(result.at("decode_tps").as_object().size(), 2U);
  EXPECT_GT(result.at("decode_tps").at("3").at("least").as_double(), 0);
  words[1] = directory + "/none.gguf";
  argv[1] = words[1].data();
  EXPECT_EQ(run_bench(static_cast<int>(argv.size()), argv.data()), 1);
}

TEST(Model, WeightsLargerThanTheMemoryAreRefusedInOneSentence) {
  EXPECT_TRUE(check_memory(2'500'000'000, 4'000'000'000).has_value());
  const Status refused = check_memory(8'050'000'000, 4'000'000'000);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kOverloaded);
  EXPECT_NE(refused.error().message.find("8.1 GB of weights do not fit the 4.0 GB"), std::string::npos)
      << refused.error().message;
}

}  // namespace
}  // namespace dormouse::worker
