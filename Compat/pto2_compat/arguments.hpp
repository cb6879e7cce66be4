/* The tensors and scalars that a program is started with, as words of its command line:
 *
 *     in:float32:128x128:a.bin       read from a file of raw elements; without one, zeros
 *     in:float32:16384:=2            every element is 2
 *     inout:float32:128:x.bin        read, and written back
 *     out:float32:128x128:c.bin      zeros at first, and written
 *     float32:1.5  int32:-3  uint64:0x10  7    a scalar; a bare number is an int64
 *     --rounds=3                     so many runs, one after another
 */
#ifndef PTO2_COMPAT_ARGUMENTS_HPP
#define PTO2_COMPAT_ARGUMENTS_HPP

#include <cerrno>
#include <cstdlib>
#include <string>

#include "../pto_orchestration_api.h"

namespace pto2_compat {

struct argument {
    enum Kind { SCALAR, IN, OUT, INOUT } kind;
    uint64_t bits;
    DataType type;
    uint32_t rank;
    uint32_t shape[MAX_TENSOR_DIMS];
    std::string file;
};

struct command_line {
    std::vector<argument> arguments;
    uint32_t rounds = 1;
    std::string error;
};

inline bool type_named(const std::string &name, DataType *out) {
    static const struct {
        const char *name;
        DataType type;
    } all[] = {
        {"float32", DataType::FLOAT32}, {"float16", DataType::FLOAT16},
        {"bfloat16", DataType::BFLOAT16}, {"int8", DataType::INT8},
        {"int16", DataType::INT16},     {"int32", DataType::INT32},
        {"int64", DataType::INT64},     {"uint8", DataType::UINT8},
        {"uint16", DataType::UINT16},   {"uint32", DataType::UINT32},
        {"uint64", DataType::UINT64},   {"bool", DataType::BOOL},
        {"float8_e4m3fn", DataType::FP8E4M3FN},
    };
    for (const auto &entry : all) {
        if (name != entry.name) continue;
        *out = entry.type;
        return true;
    }
    return false;
}

/* A number as an element or a scalar of a type; halves as their bits. */
inline bool number(const std::string &text, DataType type, uint64_t *out) {
    if (text.empty()) return false;
    char *end = nullptr;
    errno = 0;
    if (type == DataType::FLOAT32) {
        *out = to_u64(strtof(text.c_str(), &end));
    } else if (text[0] == '-') {
        *out = uint64_t(strtoll(text.c_str(), &end, 0));
    } else {
        *out = strtoull(text.c_str(), &end, 0);
    }
    return errno == 0 && end != nullptr && *end == 0;
}

inline bool shape_of(const std::string &text, argument *out) {
    const char *at = text.c_str();
    for (out->rank = 0; out->rank < uint32_t(MAX_TENSOR_DIMS);) {
        char *end = nullptr;
        if (*at < '0' || *at > '9') return false;
        const unsigned long long extent = strtoull(at, &end, 10);
        if (extent > UINT32_MAX) return false;
        out->shape[out->rank++] = uint32_t(extent);
        if (*end == 0) return true;
        if (*end != 'x') return false;
        at = end + 1;
    }
    return false;
}

/* One word; what is wrong with it, or nothing. */
inline std::string read_argument(const std::string &word, argument *out) {
    static const char *const expected =
        ": expected in:TYPE:SHAPE[:FILE], out:..., inout:TYPE:SHAPE:FILE, TYPE:NUMBER or a "
        "number, as in in:float32:128x128:a.bin";
    const size_t first = word.find(':');
    const std::string head = word.substr(0, first);
    *out = argument{};
    if (first == std::string::npos) {
        out->type = DataType::INT64;
        return number(word, DataType::INT64, &out->bits) ? "" : word + expected;
    }
    const std::string rest = word.substr(first + 1);
    if (type_named(head, &out->type)) {
        return number(rest, out->type, &out->bits) ? ""
                                                   : word + ": " + rest + " is no " + head;
    }
    if (head == "in") out->kind = argument::IN;
    else if (head == "out") out->kind = argument::OUT;
    else if (head == "inout") out->kind = argument::INOUT;
    else return word + expected;
    const size_t second = rest.find(':');
    if (second == std::string::npos) return word + expected;
    if (!type_named(rest.substr(0, second), &out->type)) {
        return word + ": no type " + rest.substr(0, second) + ": float32, float16, bfloat16, "
               "int8 to int64, uint8 to uint64, bool";
    }
    const size_t third = rest.find(':', second + 1);
    const std::string shape = rest.substr(second + 1, third - second - 1);
    if (!shape_of(shape, out)) {
        return word + ": no shape " + shape + ": expected 1 to 5 extents, as in 128x64";
    }
    if (third != std::string::npos) out->file = rest.substr(third + 1);
    if (out->kind == argument::INOUT && out->file.empty()) return word + ": inout has a file";
    return "";
}

inline command_line read_command_line(int32_t argc, const char *const *argv) {
    command_line result;
    for (int32_t i = 1; i < argc && result.error.empty(); i++) {
        const std::string word = argv[i];
        if (word.rfind("--rounds=", 0) == 0) {
            uint64_t rounds = 0;
            if (!number(word.substr(9), DataType::INT64, &rounds) || rounds < 1 ||
                rounds > 1000000) {
                result.error = word + ": expected 1 to 1000000";
            }
            result.rounds = uint32_t(rounds);
            continue;
        }
        argument next;
        result.error = read_argument(word, &next);
        const bool is_tensor = next.kind != argument::SCALAR;
        if (is_tensor && !result.arguments.empty() &&
            result.arguments.back().kind == argument::SCALAR) {
            result.error = word + ": tensors come before scalars";
        }
        result.arguments.push_back(next);
    }
    return result;
}

/* The first contents of a tensor; what is wrong, or nothing. */
inline std::string load(const argument &from, const ChipTensor &tensor) {
    uint8_t *bytes = tensor.data_as<uint8_t>();
    const uint64_t count = tensor.nbytes(), size = get_element_size(from.type);
    if (from.kind == argument::OUT || from.file.empty()) {
        if (count != 0) memset(bytes, 0, count);
        return "";
    }
    if (from.file[0] == '=') {
        uint64_t bits = 0;
        if (!number(from.file.substr(1), from.type, &bits)) {
            return from.file + ": no number of this type";
        }
        for (uint64_t at = 0; at < count; at += size) memcpy(bytes + at, &bits, size);
        return "";
    }
    FILE *file = fopen(from.file.c_str(), "rb");
    if (file == nullptr) return from.file + ": " + strerror(errno);
    const uint64_t got = fread(bytes, 1, count, file);
    const bool is_longer = fgetc(file) != EOF;
    fclose(file);
    if (got == count && !is_longer) return "";
    return from.file + ": " + (is_longer ? "more than " : std::to_string(got) + " bytes, not ") +
           std::to_string(count) + " bytes";
}

inline std::string save(const argument &to, const ChipTensor &tensor) {
    const bool is_written = to.kind == argument::OUT || to.kind == argument::INOUT;
    if (!is_written || to.file.empty() || to.file[0] == '=') return "";
    FILE *file = fopen(to.file.c_str(), "wb");
    if (file == nullptr) return to.file + ": " + strerror(errno);
    const bool is_whole =
        fwrite(tensor.data_as<uint8_t>(), 1, tensor.nbytes(), file) == tensor.nbytes();
    if (fclose(file) == 0 && is_whole) return "";
    return to.file + ": " + strerror(errno);
}

} // namespace pto2_compat

#endif
