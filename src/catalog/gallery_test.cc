// Goal: the gallery that is shipped holds what its cards promise, in both languages and every form of a name; a user's
// own file is read as strictly. Method: the compiled-in file itself, and small ones with one mistake each.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "base/ids.h"
#include "catalog/catalog.h"
#include "catalog/config_file.h"

namespace dormouse::catalog {
namespace {

namespace fs = std::filesystem;

const Catalog& shipped() {
  static const Catalog kCatalog = Catalog::built_in().value();
  return kCatalog;
}

std::set<std::string> found(std::string_view query) {
  std::set<std::string> out;
  for (const Image* image : shipped().search(query)) out.insert(image->reference());
  return out;
}

TEST(Gallery, HasTheFamilyInEveryQuantisationAndRuntime) {
  const char* const kModels[] = {"qwen3-0.6b",
                                 "qwen3-1.7b",
                                 "qwen3-4b",
                                 "qwen3-8b",
                                 "qwen3-14b",
                                 "qwen3-4b-instruct-2507",
                                 "qwen3-4b-thinking-2507"};
  for (const std::string model : kModels) {
    for (const char* const tag : {"f16", "q8_0", "q4_k_m", "q2_k"}) {
      const Image* const image = shipped().find(model + ":" + tag);
      ASSERT_NE(image, nullptr) << model << ":" << tag;
      EXPECT_EQ(image->runtimes, (std::vector<std::string>{"builtin", "llama-server"}));
      EXPECT_FALSE(image->huggingface.empty()) << image->reference();
      EXPECT_TRUE(image->file.ends_with(".gguf")) << image->file;
    }
    EXPECT_EQ(shipped().find(model + "-vllm:latest")->runtimes, std::vector<std::string>{"vllm"});
    EXPECT_EQ(shipped().find(model + "-ollama:latest")->runtimes, std::vector<std::string>{"ollama"});
  }
  EXPECT_EQ(shipped().images().size(), 1U + 7U * 6U + 3U);
}

TEST(Gallery, EveryCardSpeaksBothLanguagesAndHasItsNumbers) {
  for (const Image& image : shipped().images()) {
    for (const std::string* text : {&image.title_en, &image.title_zh, &image.summary_en, &image.summary_zh,
                                    &image.suits_en, &image.suits_zh, &image.licence, &image.quantisation}) {
      EXPECT_FALSE(text->empty()) << image.reference();
    }
    EXPECT_GT(image.bytes, 1'000'000) << image.reference();
    EXPECT_GT(image.memory_bytes(), image.bytes + kWorkerBytes) << image.reference();
    EXPECT_FALSE(image.kld.has_value()) << image.reference() << ": measured where?";
  }
}

// Every file that was quantised says what others measured of its kind, and where that can be read.
TEST(Gallery, PublishedLossesComeWithTheirSourceAndGrowAsFilesShrink) {
  double last = 0;
  for (const char* const tag : {":f16", ":q8_0", ":q4_k_m", ":q2_k"}) {
    const Image* const image = shipped().find(std::string("qwen3-8b") + tag);
    ASSERT_NE(image, nullptr);
    ASSERT_FALSE(image->published_losses.empty()) << image->reference();
    const PublishedLoss& llama = image->published_losses.front();
    EXPECT_EQ(llama.of, "Llama 3 8B");
    EXPECT_GT(llama.kld.value_or(0), last) << image->reference();
    last = llama.kld.value_or(0);
    for (const PublishedLoss& loss : image->published_losses) EXPECT_FALSE(loss.source.empty());
  }
  EXPECT_EQ(shipped().find("qwen3-4b-ollama")->published_losses, shipped().find("qwen3-4b:q4_k_m")->published_losses);
  EXPECT_TRUE(shipped().find("qwen3-demo:q8_0")->published_losses.empty()) << "nobody published any of the demo";
}

// The 4B's keys and values of 4,096 tokens are 147,456 bytes a token (planner/model_fit_test.cc).
TEST(Gallery, MemoryIsTheFileAndOneConversation) {
  const Image* const four = shipped().find("qwen3-4b");
  ASSERT_NE(four, nullptr);
  EXPECT_EQ(four->memory_bytes(), 2'497'280'256 + 147'456LL * 4'096 + (64 << 20));
}

TEST(Gallery, LargerQuantisationsAreLarger) {
  for (const char* const model : {"qwen3-0.6b", "qwen3-1.7b", "qwen3-4b", "qwen3-8b", "qwen3-14b"}) {
    std::int64_t last = 0;
    for (const char* const tag : {":q2_k", ":q4_k_m", ":q8_0", ":f16"}) {
      const Image* const image = shipped().find(std::string(model) + tag);
      ASSERT_NE(image, nullptr);
      EXPECT_GT(image->bytes, last) << image->reference();
      last = image->bytes;
    }
  }
}

TEST(Gallery, EveryFormOfANameIsItsImage) {
  for (const auto& [typed, meant] : std::vector<std::pair<std::string, std::string>>{
           {"qwen3:4b-q4_k_m", "qwen3-4b:q4_k_m"},
           {"qwen3-4b:q4_k_m", "qwen3-4b:q4_k_m"},
           {"qwen3:4b", "qwen3-4b:q4_k_m"},
           {"Qwen/Qwen3-4B-GGUF:Q8_0", "qwen3-4b:q8_0"},
           {"Qwen3-0.6B-F16.gguf", "qwen3-0.6b:f16"},
           {"hf.co/unsloth/Qwen3-14B-GGUF:Q2_K", "qwen3-14b:q2_k"},
           {"qwen3-4b-vllm:latest", "qwen3-4b-vllm:latest"},
           {"qwen3-4b-vllm", "qwen3-4b-vllm:latest"},
           {"Qwen/Qwen3-8B-AWQ", "qwen3-8b-vllm:awq"},
           {"qwen3-4b-ollama:latest", "qwen3-4b-ollama:latest"},
           {"qwen3:4b-instruct-2507-q4_K_M", "qwen3-4b-instruct-2507:q4_k_m"},
           {"qwen3-4b-thinking-2507", "qwen3-4b-thinking-2507:q4_k_m"}}) {
    const Image* const image = shipped().find(typed);
    ASSERT_NE(image, nullptr) << typed;
    EXPECT_EQ(image->reference(), meant) << typed;
  }
}

TEST(Gallery, SearchFindsWhatPeopleAskFor) {
  EXPECT_EQ(found("").size(), shipped().images().size());
  EXPECT_EQ(found("通义千问").size(), shipped().images().size());
  EXPECT_EQ(found("千问 4b q4_k_m"),
            (std::set<std::string>{"qwen3-4b:q4_k_m", "qwen3-4b-ollama:latest", "qwen3-4b-instruct-2507:q4_k_m",
                                   "qwen3-4b-instruct-2507-ollama:latest", "qwen3-4b-thinking-2507:q4_k_m",
                                   "qwen3-4b-thinking-2507-ollama:latest"}));
  for (const std::string& reference : found("4b")) {
    EXPECT_EQ(reference.find("14b"), std::string::npos) << reference << ": 14b is another number";
  }
  for (const Image* image : shipped().search("高并发")) EXPECT_EQ(image->runtimes.front(), "vllm");
  EXPECT_EQ(found("高并发"), found("high concurrency"));
  EXPECT_EQ(found("高并发").size(), 10U);
  EXPECT_EQ(found("新手"), found("beginners"));
  EXPECT_EQ(found("新手").size(), 7U);
  EXPECT_EQ(found("thinking 2507 q8").size(), 1U);
  EXPECT_TRUE(found("llama 70b").empty());
}

class DataDirectory {
 public:
  DataDirectory() : path_(fs::temp_directory_path() / ("dormouse-gallery-" + random_hex(6))) {
    fs::create_directories(path_);
  }
  ~DataDirectory() {
    std::error_code ec;
    fs::remove_all(path_, ec);
  }
  void write(const std::string& name, std::string_view text) const { std::ofstream(path_ / name) << text; }
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  fs::path path_;
};

TEST(Gallery, TheUsersOwnEntriesComeOnTop) {
  const DataDirectory directory;
  EXPECT_EQ(Catalog::of_installation(directory.path(), {})->images().size(), shipped().images().size());
  directory.write("house.gguf", "GGUF");
  directory.write("images.toml", "[[image]]\nname = \"house\"\ntag = \"v1\"\ndefault = true\nfile = \"" +
                                     directory.path() + "/house.gguf\"\nkeywords = [\"自家\"]\nkld = 0.0286\n");
  const ConfigFile config =
      parse_config("[[image]]\nname = \"qwen3-4b\"\ntag = \"q4_k_m\"\nfile = \"tuned.gguf\"\n", "dormouse.toml")
          .value();
  const Result<Catalog> both = Catalog::of_installation(directory.path(), config.images);
  ASSERT_TRUE(both.has_value()) << both.error().message;
  EXPECT_EQ(both->images().size(), shipped().images().size() + 1);
  EXPECT_EQ(both->resolve("house", {"/nonexistent"})->path, directory.path() + "/house.gguf");
  EXPECT_EQ(both->search("自家").size(), 1U);
  EXPECT_EQ(both->find("house")->kld, 0.0286) << "what its owner measured";
  EXPECT_EQ(both->find("qwen3:4b")->file, "tuned.gguf") << "the name's other forms stay";
}

TEST(Gallery, WhatIsNotHereIsFetchedByOneCommand) {
  const auto absent = shipped().resolve("qwen3:4b", {"/nonexistent"});
  ASSERT_FALSE(absent.has_value());
  EXPECT_EQ(absent.error().code, Code::kNotFound);
  EXPECT_NE(absent.error().message.find("dormouse pull qwen3-4b:q4_k_m"), std::string::npos) << absent.error().message;
}

TEST(Gallery, WhatAServerFetchesItselfIsItsNameOrAFolder) {
  EXPECT_EQ(shipped().resolve("qwen3-4b-vllm", {"/nonexistent"})->path, "Qwen/Qwen3-4B");
  EXPECT_EQ(shipped().resolve("qwen3-4b-ollama", {"/nonexistent"})->path, "qwen3:4b");
  const DataDirectory directory;
  fs::create_directories(directory.path() + "/Qwen3-4B");
  directory.write("Qwen3-4B/config.json", "{}");
  const auto local = shipped().resolve("qwen3-4b-vllm", {directory.path()});
  EXPECT_EQ(local->path, directory.path() + "/Qwen3-4B");
  EXPECT_EQ(local->runtimes, std::vector<std::string>{"vllm"});
}

TEST(Gallery, AMistakeIsNamedWithItsPlace) {
  struct Row {
    std::string toml;
    std::string said;
  };
  const std::string image = "[[image]]\nname = \"a\"\ntag = \"b\"\nfile = \"c.gguf\"\n";
  const std::string model = "[[model]]\nname = \"a\"\nstem = \"A\"\n[[model.file]]\ntag = \"b\"\n";
  for (const Row& row : std::vector<Row>{
           {"[[image]\n", "line 1"},
           {"name = 1\n", "name"},
           {"[[image]]\nname = \"a\"\nfile = \"c\"\n", "tag"},
           {image + "colour = \"red\"\n", "colour"},
           {image + "bytes = -1\n", "bytes"},
           {image + "bytes = 9223372036854775807\n", "bytes"},
           {image + "layers = 9223372036854775807\n", "layers"},
           {image + "sha256 = \"abc\"\n", "sha256"},
           {image + "huggingface = \"../../etc\"\n", "huggingface"},
           {image + "modelscope = \"a/b/c\"\n", "modelscope"},
           {image + "hub_file = \"../x\"\n", "hub_file"},
           {"[[image]]\nname = \"a\"\ntag = \"b\"\nfile = \"../../etc/passwd\"\n", "file"},
           {"[[image]]\nname = \"a\"\ntag = \"b\"\nfile = \".bashrc\"\n", "file"},
           {image + image, "twice"},
           {"[[model]]\nname = \"a\"\nstem = \"A\"\n", "[[model.file]]"},
           {model + "runtime = \"sglang\"\n", "runtime"},
           {model + "runtime = \"vllm\"\n", "upstream"},
           {model + "runtime = \"vllm\"\nupstream = \"no-owner\"\n", "upstream"},
           {"[[suits]]\nen = \"x\"\n", "quantisation"},
           {image + "kld = -0.1\n", "kld"},
           {image + "kld = nan\n", "kld"},
           {image + "kld = inf\n", "kld"},
           {"[[loss]]\nquantisation = \"Q4_K_M\"\nof = \"L\"\nkld = 0.1\n", "source"},
           {"[[loss]]\nquantisation = \"Q4_K_M\"\nof = \"L\"\nsource = \"s\"\n", "perplexity_rise"},
           {"[[loss]]\nquantisation = \"Q4_K_M\"\nof = \"L\"\nsource = \"s\"\nsame_top = 91.9\n", "same_top"},
       }) {
    const Result<Catalog> parsed = Catalog::parse(row.toml, "mine.toml");
    ASSERT_FALSE(parsed.has_value()) << row.toml;
    EXPECT_EQ(parsed.error().code, Code::kInvalidArgument);
    EXPECT_NE(parsed.error().message.find("mine.toml"), std::string::npos) << parsed.error().message;
    EXPECT_NE(parsed.error().message.find(row.said), std::string::npos) << parsed.error().message;
  }
  EXPECT_TRUE(Catalog::parse(image).has_value());
  EXPECT_EQ(Catalog::parse(image + "kld = 0\n")->images().front().kld, 0.0) << "none at all is a measurement too";
  EXPECT_TRUE(Catalog::parse(model).has_value());
}

}  // namespace
}  // namespace dormouse::catalog
