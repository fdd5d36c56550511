# CMake reads this within llama.cpp when llama-cpp-python is compiled (see the Makefile). The package
# holds the libraries llama and ggml alone: `common`, which llama.cpp's programs share, is left out.
set(LLAMA_BUILD_COMMON OFF)
