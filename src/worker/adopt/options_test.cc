// Goal: a command line becomes exactly the child's command, or an error that says what is wrong with it.
// Method: tables of argument lists.
#include "worker/adopt/options.h"

#include <gtest/gtest.h>

namespace dormouse::worker::adopt {
namespace {

Result<AdoptOptions> parse(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  return parse_adopt_options(arguments);
}

std::string refusal(std::vector<std::string> words) {
  const Result<AdoptOptions> options = parse(std::move(words));
  if (options.has_value()) return "accepted";
  EXPECT_EQ(options.error().code, Code::kInvalidArgument);
  return options.error().message;
}

TEST(AdoptOptions, TakesServesSwitchesAndItsOwn) {
  const auto options = parse({"--model",
                              "/m/q.gguf",
                              "--listen=unix:/tmp/w.sock",
                              "--served-model-name",
                              "q",
                              "--max-model-len",
                              "8192",
                              "--max-num-seqs",
                              "2",
                              "--upstream",
                              "127.0.0.1:9000",
                              "--upstream-path=/openai/",
                              "--upstream-model",
                              "theirs",
                              "--ready-path",
                              "/ping",
                              "--ready-deadline",
                              "90s",
                              "--env",
                              "A=b=c",
                              "--control",
                              "unix:/c",
                              "--lease",
                              "t",
                              "--epoch",
                              "3",
                              "--",
                              "srv",
                              "--",
                              "-x"});
  ASSERT_TRUE(options.has_value()) << options.error().message;
  EXPECT_EQ(options->listen.path, "/tmp/w.sock");
  EXPECT_EQ(options->context_length, 8192);
  EXPECT_EQ(options->max_sequences, 2);
  EXPECT_FALSE(options->pick_port);
  EXPECT_EQ(options->upstream.port, 9000);
  EXPECT_EQ(options->upstream_path, "/openai");
  EXPECT_EQ(options->upstream_model, "theirs");
  EXPECT_EQ(options->ready_path, "/ping");
  EXPECT_EQ(options->ready_deadline, std::chrono::seconds(90));
  EXPECT_EQ(options->environment, std::vector<std::string>{"A=b=c"});
  EXPECT_EQ(options->gateway.epoch, 3U);
  EXPECT_EQ(options->command, (std::vector<std::string>{"srv", "--", "-x"})) << "only the first -- is ours";
}

TEST(AdoptOptions, ReplacesEveryPlaceholder) {
  auto options = parse({"--model",
                        "/m/q.gguf",
                        "--max-model-len",
                        "4096",
                        "--max-num-seqs",
                        "8",
                        "--env",
                        "OLLAMA_HOST={host}:{port}",
                        "--",
                        "srv",
                        "-m",
                        "{model}",
                        "--p={port}",
                        "{context}",
                        "{total_context}",
                        "{slots}",
                        "{name}",
                        R"({"json":{"a":1}})",
                        "{",
                        "{}",
                        "{X}"});
  ASSERT_TRUE(options.has_value()) << options.error().message;
  options->upstream = *http::Address::parse("127.0.0.1:7777");
  const Result<ChildCommand> command = expand_command(*options);
  ASSERT_TRUE(command.has_value());
  EXPECT_EQ(command->argv, (std::vector<std::string>{"srv", "-m", "/m/q.gguf", "--p=7777", "4096", "32768", "8", "q",
                                                     R"({"json":{"a":1}})", "{", "{}", "{X}"}));
  EXPECT_EQ(command->environment, std::vector<std::string>{"OLLAMA_HOST=127.0.0.1:7777"});
}

TEST(AdoptOptions, SaysWhatIsWrong) {
  EXPECT_NE(refusal({}).find("no command"), std::string::npos);
  EXPECT_NE(refusal({"--model", "m"}).find("no command"), std::string::npos);
  EXPECT_NE(refusal({"--"}).find("no command"), std::string::npos);
  EXPECT_NE(refusal({"--", "srv"}).find("{port}"), std::string::npos);
  EXPECT_NE(refusal({"--", "srv", "{port}", "{gpu}"}).find("{gpu}: no such placeholder"), std::string::npos);
  EXPECT_NE(refusal({"--", "srv", "{port}", "{model}"}).find("--model is needed"), std::string::npos);
  EXPECT_NE(refusal({"--", "srv", "{port}", "{context}"}).find("--max-model-len is needed"), std::string::npos);
  EXPECT_NE(refusal({"--upstream", "unix:/s", "--", "srv", "{port}"}).find("has no port"), std::string::npos);
  EXPECT_NE(refusal({"--upstream", "nonsense", "--", "srv"}).find("--upstream"), std::string::npos);
  EXPECT_NE(refusal({"--upstream", "127.0.0.1:0", "--", "srv"}).find("--upstream"), std::string::npos);
  EXPECT_NE(refusal({"--ready-deadline", "soon", "--", "s", "{port}"}).find("--ready-deadline"), std::string::npos);
  EXPECT_NE(refusal({"--ready-deadline", "25h", "--", "s", "{port}"}).find("--ready-deadline"), std::string::npos);
  EXPECT_NE(refusal({"--ready-path", "health", "--", "s", "{port}"}).find("--ready-path"), std::string::npos);
  EXPECT_NE(refusal({"--env", "=x", "--", "s", "{port}"}).find("--env"), std::string::npos);
  EXPECT_NE(refusal({"--max-num-seqs", "0", "--", "s", "{port}"}).find("--max-num-seqs"), std::string::npos);
  EXPECT_NE(refusal({"--isa", "avx2", "--", "s", "{port}"}).find("no such switch"), std::string::npos);
  EXPECT_NE(refusal({"--model", "--", "s", "{port}"}).find("a value is missing"), std::string::npos);
  EXPECT_NE(refusal({"srv", "{port}"}).find("behind --"), std::string::npos);
}

TEST(AdoptOptions, NamesTheModelAfterItsFile) {
  AdoptOptions options;
  EXPECT_EQ(served_name(options), "default");
  options.model = "/models/Qwen3-4B-Q4_K_M.gguf";
  EXPECT_EQ(served_name(options), "Qwen3-4B-Q4_K_M");
  options.model = "Qwen/Qwen3-4B";
  EXPECT_EQ(served_name(options), "Qwen3-4B");
  options.served_model_name = "q";
  EXPECT_EQ(served_name(options), "q");
}

TEST(AdoptOptions, FindsAFreePort) {
  const Result<http::Address> one = free_loopback_address();
  ASSERT_TRUE(one.has_value());
  EXPECT_EQ(one->host, "127.0.0.1");
  EXPECT_GT(one->port, 0);
}

TEST(AdoptOptions, TakesAContainerOfAPinnedImageOnly) {
  const std::string digest = "ghcr.io/x/y@sha256:" + std::string(64, 'a');
  for (const std::string& image : {std::string("host:5000/x/y:v1"), digest, std::string("y:1")}) {
    const auto options = parse({"--container", image, "--container-option", "--gpus=all", "--container-engine",
                                "docker", "--pull-deadline", "5m", "--", "--port", "{port}"});
    ASSERT_TRUE(options.has_value()) << options.error().message;
    EXPECT_EQ(options->container.image, image);
    EXPECT_EQ(options->container.options, std::vector<std::string>{"--gpus=all"});
    EXPECT_EQ(options->container.engine, "docker");
    EXPECT_EQ(options->container.pull_deadline, std::chrono::minutes(5));
  }
  for (const char* image : {"x/y", "host:5000/x/y", "y:", "y:latest", "y@sha256:12", "--rm:1", "a b:1", ""}) {
    EXPECT_NE(refusal({"--container", image, "--", "--port", "{port}"}).find("--container"), std::string::npos)
        << image;
  }
  EXPECT_TRUE(parse({"--container", "y:1", "--env", "AT={port}"}).has_value()) << "the image knows its command";
  EXPECT_NE(refusal({"--container", "y:1"}).find("{port}"), std::string::npos);
  EXPECT_NE(refusal({"--container-engine", "podman", "--", "x", "{port}"}).find("missing"), std::string::npos);
  EXPECT_NE(refusal({"--container", "y:1", "--upstream", "10.0.0.1:80"}).find("127.0.0.1 only"), std::string::npos);
}

}  // namespace
}  // namespace dormouse::worker::adopt
