/* Errors, tensors and the arguments of a task, in C++17. Included by pto2.hpp. */
#ifndef PTO2_TASK_HPP
#define PTO2_TASK_HPP

#include "pto2_kernel.hpp"
#include "pto2_program.h"

#include <array>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace pto2 {

/* ---- errors ---------------------------------------------------------------- */

/* An error of the runtime: what() has its words. */
class error : public std::runtime_error {
public:
    explicit error(const pto2_error_info &info)
        : std::runtime_error(info.message), info_(info) {}
    /* The same code with words of one's own. */
    error(pto2_error code, const std::string &message)
        : std::runtime_error(message), info_{} {
        info_.bytes = sizeof info_;
        info_.code = code;
        info_.task = PTO2_NO_TASK;
        info_.ring = -1;
    }

    pto2_error code() const noexcept { return info_.code; }
    /* The id of the task it is about, or PTO2_NO_TASK. */
    uint64_t task() const noexcept { return info_.task; }
    /* The ring it is about, or -1. */
    int32_t ring() const noexcept { return info_.ring; }
    /* Bytes or items that were needed, and that there were; both 0 when it is not about
     * a size. */
    uint64_t needed() const noexcept { return info_.needed; }
    uint64_t available() const noexcept { return info_.available; }

private:
    pto2_error_info info_;
};

/* Some elements of consecutive memory; a std::span can be made of it. */
template <class T> class span {
public:
    span(T *first, size_t count) : first_(first), count_(count) {}
    T *data() const noexcept { return first_; }
    size_t size() const noexcept { return count_; }
    T *begin() const noexcept { return first_; }
    T *end() const noexcept { return first_ + count_; }
    T &operator[](size_t index) const { return first_[index]; }

private:
    T *first_;
    size_t count_;
};

/* ---- tensors of a program ---------------------------------------------------------- */

/* Up to five extents, offsets or steps. */
class extents {
public:
    extents(std::initializer_list<uint32_t> list) { assign(list.begin(), list.end()); }
    extents(const std::vector<uint32_t> &list) { assign(list.begin(), list.end()); }

    uint32_t rank() const noexcept { return rank_; }
    const uint32_t *data() const noexcept { return numbers_.data(); }
    uint32_t operator[](uint32_t dimension) const { return numbers_[dimension]; }
    uint32_t &operator[](uint32_t dimension) { return numbers_[dimension]; }
    uint64_t product() const noexcept {
        uint64_t product = 1;
        for (uint32_t d = 0; d < rank_; d++) product *= numbers_[d];
        return product;
    }

private:
    template <class Iterator> void assign(Iterator first, Iterator last) {
        if (last - first > PTO2_MAX_RANK)
            throw error(PTO2_ERROR_INVALID_ARGS, "a tensor has 5 dimensions at most");
        for (; first != last; ++first) numbers_[rank_++] = *first;
    }

    std::array<uint32_t, PTO2_MAX_RANK> numbers_{};
    uint32_t rank_ = 0;
};

/* A tensor of the graph, or a view of one. A value; copying it copies no data. */
template <class T> class array {
public:
    /* None yet: for `output`. */
    array() : handle_{}, shape_{} {}
    array(const pto2_tensor_handle &handle, const extents &shape)
        : handle_(handle), shape_(shape) {
        int64_t stride = 1;
        for (uint32_t d = shape.rank(); d-- > 0; stride *= shape[d]) strides_[d] = stride;
    }
    array(const pto2_tensor_handle &handle, const extents &shape,
          const std::array<int64_t, PTO2_MAX_RANK> &strides)
        : handle_(handle), shape_(shape), strides_(strides) {}
    /* Of an `array<T>` for reading. */
    template <class U, class = std::enable_if_t<std::is_same_v<T, const U>>>
    array(const array<U> &other)
        : handle_(other.handle()), shape_(other.shape()), strides_(other.strides()) {}

    const pto2_tensor_handle &handle() const noexcept { return handle_; }
    const extents &shape() const noexcept { return shape_; }
    /* Elements from one index to the next, a dimension. */
    const std::array<int64_t, PTO2_MAX_RANK> &strides() const noexcept { return strides_; }
    uint64_t size() const noexcept { return shape_.product(); }
    /* The elements lie in one piece, row-major. */
    bool is_contiguous() const noexcept {
        int64_t expected = 1;
        for (uint32_t d = shape_.rank(); d-- > 0;) {
            if (shape_[d] > 1 && strides_[d] != expected) return false;
            expected *= shape_[d];
        }
        return true;
    }

private:
    pto2_tensor_handle handle_;
    extents shape_;
    std::array<int64_t, PTO2_MAX_RANK> strides_{};
};

/* ---- arguments of a task ------------------------------------------------------------ */

namespace detail {

/* An array as a task uses it. */
template <class T> struct used {
    pto2_access access;
    array<T> tensor;
};
/* A new tensor: `*tensor` becomes it. */
template <class T> struct made {
    array<T> *tensor;
    extents shape;
    pto2_access access;
};

} // namespace detail

/* Written as a whole, and nothing of it read. */
template <class T> detail::used<T> overwrite(const array<T> &tensor) {
    return {PTO2_OUTPUT_EXISTING, tensor};
}
/* Nobody waits for anybody because of it. */
template <class T> detail::used<T> unordered(const array<T> &tensor) {
    return {PTO2_NO_DEP, tensor};
}
/* The same, but after the task that put it out. */
template <class T> detail::used<T> after_creator(const array<T> &tensor) {
    return {PTO2_NO_DEP_CREATED, tensor};
}
/* A new tensor, which lives until the scope ends: `tensor` becomes it. */
template <class T> detail::made<T> output(array<T> &tensor, const extents &shape) {
    return {&tensor, shape, PTO2_OUTPUT};
}
/* The same, but it lives until `graph.free(tensor)` or the end of the run. */
template <class T> detail::made<T> kept_output(array<T> &tensor, const extents &shape) {
    return {&tensor, shape, PTO2_OUTPUT_KEPT};
}

/* How a task runs, beyond its arguments. */
struct task_options {
    std::vector<pto2_dependency> dependencies; /* pto2_after(task), pto2_retain(task) */
    uint32_t blocks = 1;                       /* SPMD */
    bool start_together = false;
    pto2_recovery recovery = PTO2_RECOVERY_AUTOMATIC;
    const pto2_predicate *predicate = nullptr;
    const char *name = nullptr; /* of the task, for tools and for its error */
    int near = -1;              /* the cluster whose cores come first; -1 = any */
};

/* A kernel with its parameters, and where it runs. */
template <class Signature> struct kernel {
    pto2_kernel handle;
    uint32_t slot; /* AIC 0, AIV0 1 */
};

/* Up to three kernels of one task, which see the same arguments. */
template <class Signature> struct kernels {
    pto2_kernel handles[PTO2_SLOTS];
};

namespace detail {

/* A task while it is put together. The outputs' handles are in `handles` afterwards. */
struct staged_task {
    std::array<pto2_argument, PTO2_MAX_TENSORS> arguments;
    std::array<pto2_tensor_handle, PTO2_MAX_TENSORS> handles;
    std::array<uint64_t, PTO2_MAX_SCALARS> scalars;
    uint32_t argument_count = 0, scalar_count = 0;

    void use(pto2_access access, const pto2_tensor_handle &handle) {
        handles[argument_count] = handle;
        arguments[argument_count] = pto2_use(access, &handles[argument_count]);
        argument_count++;
    }
    void make(pto2_access access, pto2_dtype dtype, const extents &shape) {
        pto2_argument &argument = arguments[argument_count];
        argument = pto2_output(dtype, shape.rank(), shape.data(), &handles[argument_count]);
        argument.access = access;
        argument_count++;
    }
};

/* What becomes of an argument that is given for a parameter: before the submit, and after
 * it. A number: */
template <class Parameter> struct binder_of {
    template <class Argument> static void bind(staged_task &task, const Argument &value) {
        static_assert(std::is_convertible_v<Argument, Parameter>,
                      "a scalar of the kernel is given something else");
        task.scalars[task.scalar_count++] = to_bits<Parameter>(static_cast<Parameter>(value));
    }
    template <class Argument>
    static void finish(const staged_task &, uint32_t &, const Argument &) {}
};
template <class T> struct binder_of<tensor<T>> {
    template <class U> static constexpr void check() {
        static_assert(std::is_same_v<std::remove_const_t<T>, std::remove_const_t<U>>,
                      "a tensor of the kernel is given one of another element type");
        static_assert(std::is_const_v<T> || !std::is_const_v<U>,
                      "the kernel writes a tensor that is for reading");
    }
    template <class U> static void bind(staged_task &task, const array<U> &value) {
        check<U>();
        task.use(std::is_const_v<T> ? PTO2_INPUT : PTO2_INOUT, value.handle());
    }
    template <class U> static void bind(staged_task &task, const used<U> &value) {
        check<U>();
        if (std::is_const_v<T> && value.access == PTO2_OUTPUT_EXISTING)
            throw error(PTO2_ERROR_INVALID_ARGS, "overwrite of a tensor that the kernel reads");
        task.use(value.access, value.tensor.handle());
    }
    template <class U> static void bind(staged_task &task, const made<U> &value) {
        check<U>();
        static_assert(!std::is_const_v<T>, "an output is given for a tensor that is read");
        task.make(value.access, dtype_of<T>, value.shape);
    }
    template <class U> static void finish(const staged_task &, uint32_t &next, const array<U> &) {
        next++;
    }
    template <class U> static void finish(const staged_task &, uint32_t &next, const used<U> &) {
        next++;
    }
    template <class U>
    static void finish(const staged_task &task, uint32_t &next, const made<U> &value) {
        *value.tensor = array<U>(task.handles[next++], value.shape);
    }
};

/* The parameters that are given: all but pto2::place. */
template <class... T> struct list {};
template <class All, class Rest> struct given;
template <class... All> struct given<list<All...>, list<>> { using type = list<All...>; };
template <class... All, class... Rest>
struct given<list<All...>, list<place, Rest...>> : given<list<All...>, list<Rest...>> {};
template <class... All, class First, class... Rest>
struct given<list<All...>, list<First, Rest...>> : given<list<All..., First>, list<Rest...>> {};

template <class Signature> struct parameters;
template <class... P> struct parameters<void(P...)> {
    using type = typename given<list<>, list<P...>>::type;
};
template <class... P> struct parameters<void(P...) noexcept> : parameters<void(P...)> {};

template <class... P, class... A>
void bind_all(list<P...>, staged_task &task, const A &...arguments) {
    static_assert(sizeof...(P) == sizeof...(A), "as many arguments as the kernel has parameters");
    (binder_of<P>::bind(task, arguments), ...);
}
template <class... P, class... A>
void finish_all(list<P...>, const staged_task &task, const A &...arguments) {
    [[maybe_unused]] uint32_t next = 0;
    (binder_of<P>::finish(task, next, arguments), ...);
}

} // namespace detail

} // namespace pto2

#endif
