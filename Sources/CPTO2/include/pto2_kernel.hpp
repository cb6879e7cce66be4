/* Kernels in C++17: functions with typed parameters. Included by pto2.hpp; an image needs
 * no more than this.
 *
 *     #include "pto2_kernel.hpp"
 *     static void scale(pto2::tensor<const float> x, pto2::tensor<float> y, float a) {
 *         for (uint32_t i = 0; i < y.size(); i++) y[i] = a * x[i];
 *     }
 *     PTO2_KERNELS(PTO2_KERNEL(scale, PTO2_AIV))
 *
 * An exception that leaves a kernel ends its worker, with type and what() in the run's
 * error.
 */
#ifndef PTO2_KERNEL_HPP
#define PTO2_KERNEL_HPP

#include "pto2_kernel.h"

#include <cstring>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>

namespace pto2 {

/* ---- element types ------------------------------------------------------------ */

/* The upper half of a float. */
struct bfloat16 {
    uint16_t bits = 0;
    bfloat16() = default;
    /* The nearest value, ties to even. */
    explicit bfloat16(float value) : bits(pto2_f32_to_bf16(value)) {}
    operator float() const { return pto2_bf16_to_f32(bits); }
};

/* IEEE 754 binary16, as bits. */
struct float16 {
    uint16_t bits = 0;
};

/* OCP's 8-bit floats. */
struct float8_e4m3fn {
    uint8_t bits = 0;
    float8_e4m3fn() = default;
    explicit float8_e4m3fn(float value) : bits(pto2_f32_to_e4m3(value)) {}
    operator float() const { return pto2_e4m3_to_f32(bits); }
};
struct float8_e5m2 {
    uint8_t bits = 0;
    float8_e5m2() = default;
    explicit float8_e5m2(float value) : bits(pto2_f32_to_e5m2(value)) {}
    operator float() const { return pto2_e5m2_to_f32(bits); }
};

namespace detail {

template <class T> struct dtype;
template <> struct dtype<float> : std::integral_constant<pto2_dtype, PTO2_FLOAT32> {};
template <> struct dtype<float16> : std::integral_constant<pto2_dtype, PTO2_FLOAT16> {};
template <> struct dtype<bfloat16> : std::integral_constant<pto2_dtype, PTO2_BFLOAT16> {};
template <> struct dtype<int8_t> : std::integral_constant<pto2_dtype, PTO2_INT8> {};
template <> struct dtype<int16_t> : std::integral_constant<pto2_dtype, PTO2_INT16> {};
template <> struct dtype<int32_t> : std::integral_constant<pto2_dtype, PTO2_INT32> {};
template <> struct dtype<int64_t> : std::integral_constant<pto2_dtype, PTO2_INT64> {};
template <> struct dtype<uint8_t> : std::integral_constant<pto2_dtype, PTO2_UINT8> {};
template <> struct dtype<uint16_t> : std::integral_constant<pto2_dtype, PTO2_UINT16> {};
template <> struct dtype<uint32_t> : std::integral_constant<pto2_dtype, PTO2_UINT32> {};
template <> struct dtype<uint64_t> : std::integral_constant<pto2_dtype, PTO2_UINT64> {};
template <> struct dtype<bool> : std::integral_constant<pto2_dtype, PTO2_BOOL> {};
template <>
struct dtype<float8_e4m3fn> : std::integral_constant<pto2_dtype, PTO2_FLOAT8_E4M3FN> {};
template <> struct dtype<float8_e5m2> : std::integral_constant<pto2_dtype, PTO2_FLOAT8_E5M2> {};

template <class T> constexpr bool is_scalar = std::is_arithmetic_v<T> || std::is_enum_v<T>;

/* A scalar's bytes are the low ones of its word, the others 0. */
template <class T> uint64_t to_bits(T value) {
    static_assert(is_scalar<T> && sizeof(T) <= 8, "a scalar is a number of at most 8 bytes");
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    return bits;
}
template <class T> T from_bits(uint64_t bits) {
    T value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

} // namespace detail

/* The data type of elements T. */
template <class T> constexpr pto2_dtype dtype_of = detail::dtype<std::remove_const_t<T>>::value;

/* ---- kernels -------------------------------------------------------------------- */

/* A tensor as a kernel sees it. `tensor<const T>` is one that it only reads. */
template <class T> class tensor {
public:
    using element = T;
    tensor(const pto2_tensor *record, void *first)
        : record_(record), first_(static_cast<T *>(first)) {}

    uint32_t size() const noexcept { return record_->element_count; }
    uint32_t rank() const noexcept { return record_->rank; }
    uint32_t extent(uint32_t dimension) const { return record_->shape[dimension]; }
    /* Elements from one index to the next. */
    int32_t stride(uint32_t dimension) const { return record_->strides[dimension]; }
    /* The first element. */
    T *data() const noexcept { return first_; }
    const pto2_tensor &record() const noexcept { return *record_; }

    /* Element `index` in memory order: of a tensor without gaps. */
    T &operator[](uint32_t index) const { return first_[index]; }
    /* The element at an index, one number a dimension: of any tensor. */
    template <class... Index> T &operator()(Index... index) const {
        static_assert(sizeof...(Index) <= PTO2_MAX_RANK, "a tensor has 5 dimensions at most");
        ptrdiff_t at = 0;
        uint32_t dimension = 0;
        ((at += static_cast<ptrdiff_t>(index) * record_->strides[dimension++]), ...);
        return first_[at];
    }
    /* The elements lie in one piece, row-major. */
    bool is_contiguous() const noexcept {
        int64_t expected = 1;
        for (uint32_t d = rank(); d-- > 0;) {
            if (extent(d) > 1 && stride(d) != expected) return false;
            expected *= extent(d);
        }
        return true;
    }

private:
    const pto2_tensor *record_;
    T *first_;
};

/* Where a kernel runs: a parameter of this type is no argument of the task. */
class place {
public:
    explicit place(const pto2_kernel_args *args) : args_(args) {}
    uint32_t block() const noexcept { return args_->block_index; }
    uint32_t blocks() const noexcept { return args_->block_count; }
    uint32_t slot() const noexcept { return args_->slot; }
    uint32_t core() const noexcept { return args_->core; }
    uint32_t clusters() const noexcept { return args_->cluster_count; }
    const pto2_kernel_args &args() const noexcept { return *args_; }

private:
    const pto2_kernel_args *args_;
};

namespace detail {

/* One parameter of a kernel, made of the next tensor or scalar. */
template <class T> struct parameter {
    static_assert(is_scalar<T>, "a kernel's parameters are tensors, numbers and pto2::place");
    static constexpr uint32_t tensors = 0, scalars = 1;
    static T take(const pto2_kernel_args *args, uint32_t &, uint32_t &scalar) {
        return from_bits<T>(args->scalar[scalar++]);
    }
};
template <class T> struct parameter<tensor<T>> {
    static constexpr uint32_t tensors = 1, scalars = 0;
    static tensor<T> take(const pto2_kernel_args *args, uint32_t &index, uint32_t &) {
        const uint32_t number = index++;
        const pto2_tensor *record = &args->tensor[number];
        if (record->dtype != dtype_of<T>)
            throw std::invalid_argument("tensor " + std::to_string(number) + " has data type " +
                                        std::to_string(record->dtype) + ", the kernel takes " +
                                        std::to_string(static_cast<int>(dtype_of<T>)));
        if (!std::is_const_v<T> && record->access == PTO2_INPUT)
            throw std::invalid_argument("tensor " + std::to_string(number) +
                                        " is an input, which the kernel writes");
        return tensor<T>(record, args->data[number]);
    }
};
template <> struct parameter<place> {
    static constexpr uint32_t tensors = 0, scalars = 0;
    static place take(const pto2_kernel_args *args, uint32_t &, uint32_t &) {
        return place(args);
    }
};

template <class Signature> struct signature;
template <class... Parameters> struct signature<void(Parameters...)> {
    static constexpr uint32_t tensors = (0u + ... + parameter<Parameters>::tensors);
    static constexpr uint32_t scalars = (0u + ... + parameter<Parameters>::scalars);
    static_assert(tensors <= PTO2_MAX_TENSORS, "a task has 32 tensors at most");
    static_assert(scalars <= PTO2_MAX_SCALARS, "a task has 16 scalars at most");

    static void call(void (*function)(Parameters...), const pto2_kernel_args *args) {
        if (args->tensor_count != tensors || args->scalar_count != scalars)
            throw std::invalid_argument(
                "the task has " + std::to_string(args->tensor_count) + " tensors and " +
                std::to_string(args->scalar_count) + " scalars, the kernel takes " +
                std::to_string(tensors) + " and " + std::to_string(scalars));
        [[maybe_unused]] uint32_t tensor_index = 0, scalar_index = 0;
        /* In braces: from left to right. */
        std::tuple<Parameters...> values{
            parameter<Parameters>::take(args, tensor_index, scalar_index)...};
        std::apply(function, values);
    }
};
template <class... Parameters>
struct signature<void(Parameters...) noexcept> : signature<void(Parameters...)> {};

/* What the worker calls. An exception ends it here, and it says which. */
template <auto Function> void entry(const pto2_kernel_args *args) noexcept {
    signature<std::remove_pointer_t<decltype(Function)>>::call(Function, args);
}

} // namespace detail

} // namespace pto2

/* An entry of PTO2_KERNELS for a function with typed parameters, in the order of the task's
 * tensors and scalars. A task that does not fit ends its worker, with words that say why. */
#define PTO2_KERNEL(function, core_type) {#function, &pto2::detail::entry<&function>, core_type}

/* The same under another name. */
#define PTO2_KERNEL_NAMED(name, function, core_type) \
    {name, &pto2::detail::entry<&function>, core_type}

#endif
