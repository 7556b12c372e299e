// Goal: an index leads to its parts and nowhere else. Method: small folders with one fault each.
#include "worker/convert/checkpoint.h"

#include <gtest/gtest.h>

#include <string>

#include "worker/convert/hf_folder_fixture.h"

namespace dormouse::worker {
namespace {

class CheckpointTest : public HfFolderTest {
 protected:
  void SetUp() override {
    HfFolderTest::SetUp();
    write_file(in("a.safetensors"), make_safetensors({{"x", "F16", {1}, "xx"}, {"y", "F16", {1}, "yy"}}));
    write_file(in("b.safetensors"), make_safetensors({{"z", "F16", {1}, "zz"}}));
  }
  void write_index(const std::string& weight_map) const {
    write_file(in("model.safetensors.index.json"), R"({"weight_map":)" + weight_map + "}");
  }
  void expect_refused(Code code, std::string_view named) const {
    const auto got = Checkpoint::open(folder());
    ASSERT_FALSE(got.has_value()) << named;
    EXPECT_EQ(got.error().code, code) << got.error().message;
    EXPECT_NE(got.error().message.find(named), std::string::npos) << got.error().message;
  }
};

TEST_F(CheckpointTest, EveryTensorIsFoundInItsPart) {
  write_index(R"({"x":"a.safetensors","y":"a.safetensors","z":"b.safetensors"})");
  const auto got = Checkpoint::open(folder());
  ASSERT_TRUE(got.has_value()) << got.error().message;
  EXPECT_EQ(got->tensors().size(), 3U);
  EXPECT_EQ(got->parts().size(), 2U);
  ASSERT_NE(got->find("z"), nullptr);
  EXPECT_EQ(got->find("z")->part->name(), in("b.safetensors"));
  EXPECT_EQ(got->find("z")->tensor->bytes.front(), 'z');
  EXPECT_EQ(got->find("w"), nullptr);
  for (const auto& [name, found] : got->tensors()) found.part->release(*found.tensor);
  EXPECT_EQ(got->find("y")->tensor->bytes.back(), 'y');
}

TEST_F(CheckpointTest, AnIndexThatDoesNotFitItsPartsIsRefused) {
  write_index(R"({"x":"a.safetensors","z":"a.safetensors"})");
  expect_refused(Code::kDataLoss, "tensor 'z' is in a.safetensors, where it is not");
  write_index(R"({"x":"b.safetensors","y":"a.safetensors","z":"b.safetensors"})");
  expect_refused(Code::kDataLoss, "tensor 'x' is in b.safetensors, where it is not");
  write_index(R"({"x":"c.safetensors"})");
  expect_refused(Code::kNotFound, "c.safetensors");
  write_file(in("c.safetensors"), make_safetensors({{"x", "F16", {1}, "xx"}}));
  write_index(R"({"x":"a.safetensors","z":"c.safetensors"})");
  expect_refused(Code::kDataLoss, "tensor 'x' is in");
}

TEST_F(CheckpointTest, AnIndexDoesNotLeadOutOfItsFolder) {
  write_file(out("secret.safetensors"), make_safetensors({{"x", "F16", {1}, "xx"}}));
  for (const std::string& name : {std::string("../secret.safetensors"), out("secret.safetensors"), std::string("a.bin"),
                                  std::string("a\\u001b[2J.safetensors")}) {
    write_index(R"({"x":")" + name + R"("})");
    expect_refused(Code::kDataLoss, "same folder");
  }
  write_index(R"({"x":1})");
  expect_refused(Code::kDataLoss, "weight_map");
  write_index("[]");
  expect_refused(Code::kDataLoss, "weight_map");
}

}  // namespace
}  // namespace dormouse::worker
