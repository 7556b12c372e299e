// Goal: every form in which people type an image name finds the image, and a wrong name says what was near.
// Method: a small gallery in the test and temporary directories with empty files.
#include "catalog/catalog.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/ids.h"
#include "catalog/image_name.h"

namespace dormouse::catalog {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kGallery = R"(
[[image]]
name = "qwen3-4b"
tag = "q4_k_m"
file = "Qwen3-4B-Q4_K_M.gguf"
default = true
title_zh = "通义千问"
keywords = ["chat"]
[[image]]
name = "qwen3-4b"
tag = "q2_k"
file = "Qwen3-4B-Q2_K.gguf"
[[image]]
name = "qwen3-4b-vllm"
tag = "latest"
file = "qwen3-4b-vllm.gguf"
)";

Catalog gallery() {
  Result<Catalog> parsed = Catalog::parse(kGallery);
  EXPECT_TRUE(parsed.has_value());
  return *std::move(parsed);
}

class Directory {
 public:
  Directory() : path_(fs::temp_directory_path() / ("dormouse-catalog-" + random_hex(6))) {
    fs::create_directories(path_);
  }
  ~Directory() {
    std::error_code ec;
    fs::remove_all(path_, ec);
  }
  void put(const std::string& name) const { std::ofstream(path_ / name) << "x"; }
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  fs::path path_;
};

TEST(ImageName, EveryFormPeopleTypeIsOneImage) {
  const Catalog catalog = gallery();
  for (const char* name :
       {"qwen3:4b-q4_k_m", "qwen3-4b:q4_k_m", "Qwen3-4B-Q4_K_M", "qwen3-4b-q4_k_m", "qwen3:4b", "qwen3-4b",
        "qwen3-4b:latest", "Qwen/Qwen3-4B-GGUF:Q4_K_M", "Qwen3-4B-Q4_K_M.gguf", "hf.co/Qwen/Qwen3-4B-GGUF:q4_k_m"}) {
    const Image* image = catalog.find(name);
    ASSERT_NE(image, nullptr) << name;
    EXPECT_EQ(image->reference(), "qwen3-4b:q4_k_m") << name;
  }
  ASSERT_NE(catalog.find("qwen3:4b-q2_k"), nullptr);
  EXPECT_EQ(catalog.find("qwen3:4b-q2_k")->tag, "q2_k");
  ASSERT_NE(catalog.find("qwen3-4b-vllm:latest"), nullptr);
  EXPECT_EQ(catalog.find("qwen3-4b-vllm:latest")->name, "qwen3-4b-vllm");
  for (const char* name : {"", ":", "-", "/", ":latest", "qwen3", "qwen3-4b:q9", "qwen3-4b-q4_k_m-x"}) {
    EXPECT_EQ(catalog.find(name), nullptr) << name;
  }
}

TEST(Catalog, UnknownNameSaysWhatWasNear) {
  const Catalog catalog = gallery();
  const auto near = catalog.resolve("qwen3-4b:q4_k_n", {});
  ASSERT_FALSE(near.has_value());
  EXPECT_EQ(near.error().code, Code::kNotFound);
  EXPECT_NE(near.error().message.find("qwen3-4b:q4_k_m"), std::string::npos) << near.error().message;
  const auto far = catalog.resolve("entirely-different", {});
  ASSERT_FALSE(far.has_value());
  EXPECT_NE(far.error().message.find("dormouse images"), std::string::npos) << far.error().message;
}

TEST(Catalog, AFileIsFoundInTheFirstDirectoryThatHasIt) {
  const Directory first;
  const Directory second;
  second.put("Qwen3-4B-Q4_K_M.gguf");
  const Catalog catalog = gallery();
  const auto found = catalog.resolve("qwen3:4b", {first.path(), second.path()});
  ASSERT_TRUE(found.has_value()) << found.error().message;
  EXPECT_EQ(found->path, second.path() + "/Qwen3-4B-Q4_K_M.gguf");
  EXPECT_EQ(found->reference, "qwen3-4b:q4_k_m");
  const auto absent = catalog.resolve("qwen3:4b", {first.path()});
  ASSERT_FALSE(absent.has_value());
  EXPECT_EQ(absent.error().code, Code::kNotFound);
}

TEST(Catalog, APlainFileIsAnImage) {
  const Directory directory;
  directory.put("own.gguf");
  const Catalog catalog = gallery();
  for (const std::string& name : {directory.path() + "/own.gguf", "file:" + directory.path() + "/own.gguf"}) {
    const auto found = catalog.resolve(name, {});
    ASSERT_TRUE(found.has_value()) << found.error().message;
    EXPECT_EQ(found->path, directory.path() + "/own.gguf");
    EXPECT_EQ(found->reference, "file:own.gguf");
  }
  EXPECT_FALSE(catalog.resolve("file:" + directory.path() + "/absent.gguf", {}).has_value());
  EXPECT_FALSE(catalog.resolve("file:" + directory.path(), {}).has_value());
}

TEST(Catalog, SearchFindsBothLanguages) {
  const Catalog catalog = gallery();
  EXPECT_EQ(catalog.search("").size(), 3U);
  EXPECT_EQ(catalog.search("通义千问").size(), 1U);
  EXPECT_EQ(catalog.search("QWEN3 q2").size(), 1U);
  EXPECT_TRUE(catalog.search("mistral").empty());
}

TEST(Catalog, TheBuiltInGalleryHasTheDemo) {
  const Result<Catalog> catalog = Catalog::built_in();
  ASSERT_TRUE(catalog.has_value()) << catalog.error().message;
  for (const char* name : {"qwen3-demo:q8_0", "qwen3:demo-q8_0", "qwen3-demo", "qwen3:demo"}) {
    ASSERT_NE(catalog->find(name), nullptr) << name;
  }
  EXPECT_EQ(catalog->search("示例").size(), 1U);
}

TEST(Catalog, TwoImagesUnderOneKeyAreRefused) {
  const auto parsed = Catalog::parse(R"(
[[image]]
name = "a-b"
tag = "c"
file = "x.gguf"
[[image]]
name = "a"
tag = "b-c"
file = "y.gguf"
)");
  ASSERT_FALSE(parsed.has_value());
  EXPECT_EQ(parsed.error().code, Code::kInvalidArgument);
}

TEST(ImageName, EditDistanceCountsSingleEdits) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
}

}  // namespace
}  // namespace dormouse::catalog
