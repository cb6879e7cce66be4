/* C++17 over the C interface: header-only, for programs, and for kernels with typed
 * arguments. docs/c-api.md has an example; the C headers have the meaning of each call.
 *
 * Kernels, in an image of their own (pto2_kernel.hpp):
 *
 *     #include "pto2.hpp"
 *     static void scale(pto2::tensor<const float> x, pto2::tensor<float> y, float a) {
 *         for (uint32_t i = 0; i < y.size(); i++) y[i] = a * x[i];
 *     }
 *     PTO2_KERNELS(PTO2_KERNEL(scale, PTO2_AIV))
 *
 * A program with its own main(), which links libpto2.so:
 *
 *     pto2::session session({"./libscale.so"});
 *     session.run([&](pto2::graph &graph) {
 *         auto scale = graph.aiv<void(pto2::tensor<const float>, pto2::tensor<float>, float)>(
 *             "scale");
 *         auto x = graph.external(std::vector<float>{1, 2, 3});
 *         auto y = graph.external<float>({3});
 *         graph.submit(scale, x, y, 2.0f);
 *         for (float value : graph.read(y)) std::printf("%g\n", value);
 *     });
 *
 * What fails throws pto2::error. No exception crosses the C interface: one that leaves a
 * program's function ends the run and is thrown again by `run`; one that leaves a kernel
 * ends its worker, with type and what() in the run's error.
 */
#ifndef PTO2_HPP
#define PTO2_HPP

#include "pto2_session.h"
#include "pto2_task.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <iterator>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace pto2 {

/* ---- the graph ------------------------------------------------------------------------ */

/* The graph of one run. Use it from its thread, until the run's function returns. */
class graph {
public:
    graph(const pto2_program_api *api, pto2_graph *handle) : api_(api), handle_(handle) {}
    graph(const graph &) = delete;
    graph &operator=(const graph &) = delete;

    /* For calls that have no counterpart here. */
    const pto2_program_api *api() const noexcept { return api_; }
    pto2_graph *handle() const noexcept { return handle_; }
    /* Throws the error of a call that did not return 0. */
    void check(pto2_error code) const {
        if (code == PTO2_ERROR_NONE) return;
        pto2_error_info info{};
        info.bytes = sizeof info;
        api_->error_info(handle_, &info);
        if (info.code == PTO2_ERROR_NONE) throw error(code, "the call failed");
        throw error(info);
    }

    pto2_machine machine() const {
        pto2_machine machine{};
        machine.bytes = sizeof machine;
        check(api_->machine(handle_, &machine));
        return machine;
    }

    /* A matrix kernel, of the image's table, with the parameters of `Signature`. */
    template <class Signature> kernel<Signature> aic(const char *name) const {
        return find<Signature>(name, 0);
    }
    /* A vector kernel. */
    template <class Signature> kernel<Signature> aiv(const char *name) const {
        return find<Signature>(name, 1);
    }

    /* -- Tensors: see pto2_program.h -- */

    /* External memory, zero-filled, until `free` or the end of the run. */
    template <class T> array<T> external(const extents &shape) const {
        pto2_tensor_handle tensor;
        check(api_->external_tensor(handle_, dtype_of<T>, shape.rank(), shape.data(), &tensor));
        return array<T>(tensor, shape);
    }
    /* The same with a copy of what a vector, a span or an array holds; `shape` has as many
     * elements, and is one dimension of them by default. */
    template <class Container> auto external(const Container &values) const
        -> array<std::remove_const_t<std::remove_pointer_t<decltype(std::data(values))>>> {
        return external(values, extents{static_cast<uint32_t>(std::size(values))});
    }
    template <class Container> auto external(const Container &values, const extents &shape) const
        -> array<std::remove_const_t<std::remove_pointer_t<decltype(std::data(values))>>> {
        using T = std::remove_const_t<std::remove_pointer_t<decltype(std::data(values))>>;
        if (shape.product() != std::size(values))
            throw error(PTO2_ERROR_INVALID_ARGS,
                        std::to_string(std::size(values)) + " values for a tensor of " +
                            std::to_string(shape.product()) + " elements");
        array<T> tensor = external<T>(shape);
        std::copy(std::begin(values), std::end(values), data(tensor));
        return tensor;
    }
    /* Memory of the heap ring, not cleared, until the scope ends. */
    template <class T> array<T> allocate(const extents &shape) const {
        pto2_tensor_handle tensor;
        check(api_->allocate(handle_, dtype_of<T>, shape.rank(), shape.data(), &tensor));
        return array<T>(tensor, shape);
    }
    /* Equal elements, for reading, until the scope ends. */
    template <class T> array<const T> fill(const extents &shape, T value) const {
        pto2_tensor_handle tensor;
        check(api_->fill(handle_, dtype_of<T>, shape.rank(), shape.data(), &value, &tensor));
        return array<const T>(tensor, shape, std::array<int64_t, PTO2_MAX_RANK>{});
    }
    template <class T> void free(const array<T> &tensor) const {
        check(api_->free_tensor(handle_, &tensor.handle()));
    }

    /* -- Views. One that cannot be made throws; the run goes on. -- */

    template <class T>
    array<T> slice(const array<T> &base, const extents &offset, const extents &shape) const {
        check_rank(base, offset, shape);
        pto2_tensor_handle view;
        check(api_->slice(handle_, &base.handle(), offset.data(), shape.data(), &view));
        return array<T>(view, shape, base.strides());
    }
    /* Every steps[d]-th element. */
    template <class T>
    array<T> slice(const array<T> &base, const extents &offset, const extents &shape,
                   const extents &steps) const {
        check_rank(base, offset, shape);
        check_rank(base, offset, steps);
        pto2_tensor_handle view;
        check(api_->slice_steps(handle_, &base.handle(), offset.data(), shape.data(),
                                steps.data(), &view));
        std::array<int64_t, PTO2_MAX_RANK> strides = base.strides();
        for (uint32_t d = 0; d < shape.rank(); d++) strides[d] *= steps[d];
        return array<T>(view, shape, strides);
    }
    template <class T> array<T> reshape(const array<T> &base, const extents &shape) const {
        pto2_tensor_handle view;
        check(api_->reshape(handle_, &base.handle(), shape.rank(), shape.data(), &view));
        return array<T>(view, shape);
    }
    template <class T>
    array<T> transpose(const array<T> &base, uint32_t first, uint32_t second) const {
        pto2_tensor_handle view;
        check(api_->transpose(handle_, &base.handle(), first, second, &view));
        extents shape = base.shape();
        std::array<int64_t, PTO2_MAX_RANK> strides = base.strides();
        std::swap(shape[first], shape[second]);
        std::swap(strides[first], strides[second]);
        return array<T>(view, shape, strides);
    }
    /* Dimensions of extent 1 are repeated, outer ones added; for reading. */
    template <class T>
    array<const T> broadcast(const array<T> &base, const extents &shape) const {
        pto2_tensor_handle view;
        check(api_->broadcast(handle_, &base.handle(), shape.rank(), shape.data(), &view));
        std::array<int64_t, PTO2_MAX_RANK> strides{};
        const uint32_t added = shape.rank() - base.shape().rank();
        for (uint32_t d = added; d < shape.rank(); d++)
            if (base.shape()[d - added] == shape[d]) strides[d] = base.strides()[d - added];
        return array<const T>(view, shape, strides);
    }
    /* The same bytes as elements of another type; the innermost dimension is stretched. */
    template <class U, class T> array<U> bit_cast(const array<T> &base) const {
        static_assert(std::is_const_v<U> || !std::is_const_v<T>, "a view for reading stays one");
        pto2_tensor_handle view;
        check(api_->bit_cast(handle_, &base.handle(), dtype_of<U>, &view));
        extents shape = base.shape();
        std::array<int64_t, PTO2_MAX_RANK> strides = base.strides();
        if (sizeof(T) != sizeof(U)) {
            const uint32_t inner = shape.rank() - 1;
            shape[inner] = static_cast<uint32_t>(uint64_t{shape[inner]} * sizeof(T) / sizeof(U));
            for (uint32_t d = 0; d < inner; d++)
                strides[d] = strides[d] * static_cast<int64_t>(sizeof(T)) /
                             static_cast<int64_t>(sizeof(U));
            strides[inner] = 1;
        }
        return array<U>(view, shape, strides);
    }

    /* -- Data -- */

    /* The first element: touch it before the first submit that uses it, or after `wait`. */
    template <class T> T *data(const array<T> &tensor) const {
        void *address = api_->data(handle_, &tensor.handle());
        if (!address) throw_last("a tensor has no memory");
        return static_cast<T *>(address);
    }
    /* The elements, after waiting for all tasks; of a tensor without gaps. */
    template <class T> span<const T> read(const array<T> &tensor) const {
        return {elements(tensor), static_cast<size_t>(tensor.size())};
    }
    template <class T> span<T> write(const array<T> &tensor) const {
        return {elements(tensor), static_cast<size_t>(tensor.size())};
    }
    /* One element, after waiting for its writers. */
    template <class T>
    std::remove_const_t<T> get(const array<T> &tensor, const extents &index,
                               uint64_t limit_nanoseconds = PTO2_FOREVER) const {
        check_rank(tensor, index, index);
        std::remove_const_t<T> value{};
        check(api_->get(handle_, &tensor.handle(), index.data(), limit_nanoseconds, &value));
        return value;
    }
    /* The same for writing, after waiting for its readers, too. */
    template <class T>
    void set(const array<T> &tensor, const extents &index, T value,
             uint64_t limit_nanoseconds = PTO2_FOREVER) const {
        check_rank(tensor, index, index);
        check(api_->set(handle_, &tensor.handle(), index.data(), limit_nanoseconds, &value));
    }

    /* -- Tasks -- */

    /* Submits a task of one kernel: an array for each of its tensors (`tensor<const T>` is
     * read, `tensor<T>` read and written; or overwrite, output, kept_output, unordered,
     * after_creator)
     * and a number for each scalar, in their order. What does not fit does not compile. */
    template <class Signature, class... Arguments>
    pto2_task submit(const kernel<Signature> &kernel, const Arguments &...arguments) const {
        return submit(task_options{}, kernel, arguments...);
    }
    template <class Signature, class... Arguments>
    pto2_task submit(const task_options &options, const kernel<Signature> &kernel,
                     const Arguments &...arguments) const {
        kernels<Signature> set{};
        set.handles[kernel.slot] = kernel.handle;
        return submit(options, set, arguments...);
    }
    template <class Signature, class... Arguments>
    pto2_task submit(const task_options &options, const kernels<Signature> &set,
                     const Arguments &...arguments) const {
        using given = typename detail::parameters<Signature>::type;
        detail::staged_task task;
        detail::bind_all(given{}, task, arguments...);
        pto2_submission submission{};
        submission.bytes = sizeof submission;
        submission.recovery = options.recovery;
        for (uint32_t slot = 0; slot < PTO2_SLOTS; slot++)
            submission.kernels[slot] = set.handles[slot];
        submission.arguments = task.arguments.data();
        submission.argument_count = task.argument_count;
        submission.scalars = task.scalars.data();
        submission.scalar_count = task.scalar_count;
        submission.dependencies = options.dependencies.data();
        submission.dependency_count = static_cast<uint32_t>(options.dependencies.size());
        submission.predicate = options.predicate;
        submission.block_count = options.blocks;
        submission.require_sync_start = options.start_together;
        submission.name = options.name;
        submission.near = static_cast<uint32_t>(options.near + 1);
        pto2_task id{};
        check(api_->submit(handle_, &submission, &id));
        detail::finish_all(given{}, task, arguments...);
        return id;
    }
    /* Blocks until every task submitted so far is done. */
    void wait() const { check(api_->wait(handle_)); }

    /* Ends the run with error 9, or a code from PTO2_ERROR_PROGRAM (1000) to 1039. */
    [[noreturn]] void fail(const std::string &message, uint32_t code = 0) const {
        check(code ? api_->fail_with(handle_, code, message.c_str())
                   : api_->fail(handle_, message.c_str()));
        throw error(PTO2_ERROR_EXPLICIT_ORCH_FATAL, message);
    }
    void log(pto2_log_level level, const std::string &text) const {
        api_->log(handle_, level, text.c_str());
    }

private:
    template <class Signature> kernel<Signature> find(const char *name, uint32_t slot) const {
        kernel<Signature> found{{}, slot};
        check(api_->kernel(handle_, name, &found.handle));
        return found;
    }
    template <class T>
    static void check_rank(const array<T> &base, const extents &a, const extents &b) {
        if (a.rank() != base.shape().rank() || b.rank() != base.shape().rank())
            throw error(PTO2_ERROR_INVALID_ARGS,
                        "a tensor of " + std::to_string(base.shape().rank()) +
                            " dimensions needs as many numbers");
    }
    template <class T> T *elements(const array<T> &tensor) const {
        wait();
        if (!tensor.is_contiguous())
            throw error(PTO2_ERROR_INVALID_ARGS,
                        "a tensor has gaps and cannot be seen as one piece");
        return data(tensor);
    }
    [[noreturn]] void throw_last(const char *message) const {
        pto2_error_info info{};
        info.bytes = sizeof info;
        if (api_->error_info(handle_, &info) == PTO2_ERROR_NONE && info.code) throw error(info);
        throw error(PTO2_ERROR_INVALID_ARGS, message);
    }

    const pto2_program_api *api_;
    pto2_graph *handle_;
};

/* A scope from here to the end of the block: outputs of the tasks in it live so long. */
class scope {
public:
    explicit scope(const graph &graph, bool manual = false) : graph_(graph) {
        graph.check(manual ? graph.api()->scope_begin_manual(graph.handle())
                           : graph.api()->scope_begin(graph.handle()));
    }
    /* With a name for tools. */
    scope(const graph &graph, const char *name, bool manual = false) : graph_(graph) {
        graph.check(graph.api()->scope_begin_named(graph.handle(), name, manual));
    }
    scope(const scope &) = delete;
    scope &operator=(const scope &) = delete;
    /* An error is the run's: the next call throws it. */
    ~scope() {
        if (is_open_) graph_.api()->scope_end(graph_.handle());
    }
    /* Ends it now. */
    void end() {
        is_open_ = false;
        graph_.check(graph_.api()->scope_end(graph_.handle()));
    }

private:
    const graph &graph_;
    bool is_open_ = true;
};

/* ---- sessions -------------------------------------------------------------------------- */

/* What a session is made of; what is not here is in `rest`. */
struct session_options {
    std::vector<std::string> images; /* paths, or names that are looked up */
    uint32_t clusters = 1;
    uint32_t flags = 0;              /* PTO2_OPEN_... */
    pto2_session_options rest{};     /* `bytes`, images, clusters and flags are not used */
};

/* Processes and shared memory, which run graphs one after another. Use it from one thread
 * at a time. */
class session {
public:
    explicit session(const std::vector<std::string> &images, uint32_t clusters = 1)
        : session(make_options(images, clusters)) {}
    explicit session(const session_options &options) {
        std::vector<const char *> names;
        for (const std::string &image : options.images) names.push_back(image.c_str());
        pto2_session_options record = options.rest;
        record.bytes = sizeof record;
        record.flags = options.flags;
        record.images = names.data();
        record.image_count = static_cast<uint32_t>(names.size());
        record.clusters = options.clusters;
        pto2_error_info info{};
        info.bytes = sizeof info;
        if (pto2_session_open(&record, &handle_, &info)) throw error(info);
    }
    session(session &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    session &operator=(session &&other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~session() { pto2_session_close(handle_); }

    /* Calls build(pto2::graph &) and waits for all its tasks. Throws what it throws, else
     * the run's error. */
    template <class Build> pto2_report run(Build &&build) {
        call<Build> call{build, nullptr};
        pto2_report report{};
        report.bytes = sizeof report;
        const pto2_error code =
            pto2_session_run(handle_, &session::template enter<Build>, &call, &report);
        if (call.thrown) std::rethrow_exception(call.thrown);
        if (code) {
            pto2_error_info info{};
            info.bytes = sizeof info;
            pto2_session_error(handle_, &info);
            throw error(info);
        }
        return report;
    }

    pto2_session *handle() const noexcept { return handle_; }

private:
    template <class Build> struct call {
        Build &build;
        std::exception_ptr thrown;
    };
    template <class Build>
    static int32_t enter(const pto2_program_api *api, pto2_graph *handle,
                         void *context) noexcept {
        auto *here = static_cast<call<Build> *>(context);
        try {
            graph graph(api, handle);
            here->build(graph);
            return 0;
        } catch (...) {
            here->thrown = std::current_exception();
            return 1;
        }
    }
    static session_options make_options(const std::vector<std::string> &images,
                                        uint32_t clusters) {
        session_options options;
        options.images = images;
        options.clusters = clusters;
        return options;
    }

    pto2_session *handle_ = nullptr;
};

namespace detail {

/* A program in a shared object: what is thrown ends the run. */
template <class Build>
int32_t run_program(const pto2_program_api *api, pto2_graph *handle, int32_t argc,
                    const char *const *argv, Build build) noexcept {
    try {
        graph graph(api, handle);
        build(graph, std::vector<std::string>(argv, argv + argc));
        return 0;
    } catch (const error &failure) {
        pto2_error_info info{};
        info.bytes = sizeof info;
        /* Of a call that failed, the run knows already. */
        if (api->error_info(handle, &info) == PTO2_ERROR_NONE && info.code) return 1;
        return api->fail(handle, failure.what());
    } catch (const std::exception &failure) {
        return api->fail(handle, failure.what());
    } catch (...) {
        return api->fail(handle, "the program threw something that is no std::exception");
    }
}

} // namespace detail

} // namespace pto2

/* The entry point of a shared object: function(pto2::graph &, std::vector<std::string>),
 * with the object's name and the arguments after `--`. */
#define PTO2_PROGRAM(function)                                                               \
    int32_t pto2_program_main(const pto2_program_api *api, pto2_graph *graph, int32_t argc, \
                              const char *const *argv) {                                    \
        return pto2::detail::run_program(api, graph, argc, argv, function);                 \
    }

#endif
