// Goal: a runtime's name and a deployment become exactly the command line that starts it, or an error that says what is
// missing. Method: the compiled-in templates word for word, small tables for the errors.
#include "catalog/runtimes.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace dormouse::catalog {
namespace {

using Words = std::vector<std::string>;

Runtime built_in(std::string_view name) {
  const Result<Runtimes> runtimes = Runtimes::built_in();
  EXPECT_TRUE(runtimes.has_value()) << runtimes.error().message;
  const Result<Runtime> found = runtimes->find(name);
  EXPECT_TRUE(found.has_value());
  return found.value_or(Runtime{});
}

RuntimeParameters with_model(std::string model) {
  RuntimeParameters out;
  out.model = std::move(model);
  return out;
}

std::string refusal(const std::string& toml) {
  const Result<Runtimes> parsed = Runtimes::parse(toml);
  if (parsed.has_value()) return "accepted";
  EXPECT_EQ(parsed.error().code, Code::kInvalidArgument);
  return parsed.error().message;
}

TEST(Runtimes, LlamaServerGetsTheContextOfAllItsSlots) {
  RuntimeParameters parameters = with_model("/m/q.gguf");
  parameters.context_length = 8192;
  parameters.max_sequences = 4;
  const Words want = {"--model",
                      "/m/q.gguf",
                      "--max-model-len",
                      "8192",
                      "--max-num-seqs",
                      "4",
                      "--upstream",
                      "auto",
                      "--ready-path",
                      "/health",
                      "--",
                      "llama-server",
                      "-m",
                      "{model}",
                      "--host",
                      "{host}",
                      "--port",
                      "{port}",
                      "-c",
                      "{total_context}",
                      "-np",
                      "{slots}"};
  EXPECT_EQ(*adopt_arguments(built_in("llama.cpp"), parameters), want);
}

TEST(Runtimes, VllmIsToldItsQuantisationAndWhatTheDeploymentAdds) {
  RuntimeParameters parameters = with_model("Qwen/Qwen3-4B-AWQ");
  parameters.context_length = 32768;
  parameters.max_sequences = 256;
  parameters.quantization = std::string("awq");
  parameters.arguments = {"--gpu-memory-utilization", "0.9"};
  parameters.environment = {"HF_HOME=/models"};
  const Words want = {"--model",
                      "Qwen/Qwen3-4B-AWQ",
                      "--max-model-len",
                      "32768",
                      "--max-num-seqs",
                      "256",
                      "--upstream",
                      "auto",
                      "--ready-path",
                      "/health",
                      "--env",
                      "HF_HOME=/models",
                      "--",
                      "vllm",
                      "serve",
                      "{model}",
                      "--host",
                      "{host}",
                      "--port",
                      "{port}",
                      "--max-model-len",
                      "{context}",
                      "--enable-chunked-prefill",
                      "--max-num-seqs",
                      "{slots}",
                      "--quantization",
                      "awq",
                      "--gpu-memory-utilization",
                      "0.9"};
  EXPECT_EQ(*adopt_arguments(built_in("vLLM"), parameters), want);
}

TEST(Runtimes, OllamaIsToldByItsEnvironment) {
  RuntimeParameters parameters = with_model("qwen3:4b");
  parameters.context_length = 4096;
  const Result<Words> words = adopt_arguments(built_in("ollama"), parameters);
  ASSERT_TRUE(words.has_value()) << words.error().message;
  const auto has = [&](const std::string& flag, const std::string& value) {
    for (std::size_t i = 1; i < words->size(); ++i) {
      if ((*words)[i - 1] == flag && (*words)[i] == value) return true;
    }
    return false;
  };
  EXPECT_TRUE(has("--env", "OLLAMA_HOST={host}:{port}"));
  EXPECT_TRUE(has("--env", "OLLAMA_NUM_PARALLEL={slots}"));
  EXPECT_TRUE(has("--upstream-model", "qwen3:4b"));
  EXPECT_EQ(words->back(), "serve");
}

TEST(Runtimes, AContainerIsThePinnedImageWithTheWordsBehindIt) {
  RuntimeParameters parameters = with_model("/m/Qwen3-4B");
  parameters.context_length = 8192;
  parameters.quantization = std::string("awq");
  parameters.container_engine = std::string("podman");
  const Runtime runtime = built_in("vllm");
  const Words words = *adopt_arguments(runtime, parameters);
  const auto command = std::find(words.begin(), words.end(), "--");
  const Words wanted = {"--container",        runtime.image, "--container-engine", "podman",
                        "--container-option", "--gpus=all",  "--container-option", "--ipc=host"};
  ASSERT_GE(command - words.begin(), std::ssize(wanted));
  EXPECT_EQ(Words(command - std::ssize(wanted), command), wanted);
  EXPECT_EQ(*(command + 1), "--model");
  EXPECT_EQ(words.back(), "awq");
  parameters.container_engine = std::string("lxc");
  EXPECT_NE(adopt_arguments(runtime, parameters).error().message.find("podman or docker"), std::string::npos);
  parameters.container_engine = std::string("docker");
  EXPECT_NE(adopt_arguments(built_in("ollama"), parameters).error().message.find("no container"), std::string::npos);
}

TEST(Runtimes, SayWhatADeploymentLacks) {
  RuntimeParameters nothing;
  EXPECT_NE(adopt_arguments(built_in("vllm"), nothing).error().message.find("a model is needed"), std::string::npos);
  RuntimeParameters no_context = with_model("some-model");
  EXPECT_NE(adopt_arguments(built_in("vllm"), no_context).error().message.find("context length"), std::string::npos);
  RuntimeParameters quantised = with_model("some-model");
  quantised.context_length = 4096;
  quantised.quantization = std::string("awq");
  EXPECT_NE(adopt_arguments(built_in("llama-server"), quantised).error().message.find("quantisation"),
            std::string::npos);
}

TEST(Runtimes, AnUnknownNameListsTheKnownOnes) {
  const Result<Runtime> missing = Runtimes::built_in()->find("tgi");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  EXPECT_NE(missing.error().message.find("llama-server, vllm, ollama"), std::string::npos);
}

TEST(Runtimes, BadEntriesAreNamed) {
  EXPECT_EQ(refusal("[[runtime]]\nname='a'\ncommand=['x','{port}']\n"), "accepted");
  EXPECT_NE(refusal("[[runtime]]\nname='a'\n").find("name and command"), std::string::npos);
  EXPECT_NE(refusal("[[runtime]\n").find("runtimes.toml"), std::string::npos);
  EXPECT_NE(refusal("[[runtime]]\nname='a'\ncommand=['x']\n").find("{port}"), std::string::npos);
  EXPECT_NE(refusal("[[runtime]]\nname='a'\ncommand=['x','{port}','{gpu}']\n").find("{gpu}"), std::string::npos);
  EXPECT_NE(refusal("[[runtime]]\nname='a'\ncommand=['x','{port}','{image}']\n").find("{image}"), std::string::npos);
  EXPECT_NE(
      refusal("[[runtime]]\nname='a'\ncommand=['x','{port}']\ncontainer=['--port','{port}']\n").find("needs an image"),
      std::string::npos);
  EXPECT_NE(refusal("[[runtime]]\nname='a'\ncommand=['x','{port}']\nimage='h:5000/x'\n"
                    "container=['--port','{port}']\n")
                .find("not pinned"),
            std::string::npos);
  EXPECT_NE(refusal("[[runtime]]\nname='a'\ncommand=['x','{port}']\n"
                    "[[runtime]]\nname='b'\naliases=['A']\ncommand=['x','{port}']\n")
                .find("means a already"),
            std::string::npos);
}

}  // namespace
}  // namespace dormouse::catalog
