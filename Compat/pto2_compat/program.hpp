/* The program around an orchestration: `pto2 compile` writes a source that includes the
 * orchestration, then this, and ends with PTO2_COMPAT_PROGRAM. */
#ifndef PTO2_COMPAT_PROGRAM_HPP
#define PTO2_COMPAT_PROGRAM_HPP

#include <exception>

#include "arguments.hpp"

namespace pto2_compat {

/* Memory for the arguments, which the runtime shares with the workers. */
inline bool make_entry(const argument &given, ChipTensor *out) {
    run &now = current();
    pto2_tensor_handle handle, flat;
    pto2_dtype type = PTO2_FLOAT32;
    dtype_of(given.type, &type);
    if (failed(now.api->external_tensor(now.graph, type, given.rank, given.shape, &handle))) {
        return false;
    }
    describe(*out, given.rank, given.shape, given.type);
    const uint32_t count = uint32_t(out->numel());
    if (failed(now.api->reshape(now.graph, &handle, 1, &count, &flat))) return false;
    out->buffer.addr =
        uint64_t(reinterpret_cast<uintptr_t>(now.api->data(now.graph, &handle)));
    out->buffer.size = out->nbytes();
    bind(*out, 0, handle);
    entry_memory entry{out->buffer.addr, out->buffer.size, *out};
    describe(entry.flat, 1, &count, given.type);
    bind(entry.flat, 0, flat);
    now.entries.push_back(entry);
    return true;
}

inline bool call_entry(void (*entry)(const ChipTaskArgs &), const ChipTaskArgs &args) {
    run &now = current();
    try {
        entry(args);
    } catch (const std::exception &error) {
        fatal(PTO2_ERROR_EXPLICIT_ORCH_FATAL, "an exception left the orchestration: %s",
              error.what());
    } catch (...) {
        fatal(PTO2_ERROR_EXPLICIT_ORCH_FATAL, "an exception left the orchestration");
    }
    while (now.fatal == 0 && now.scopes.size() > 1) {
        fatal(PTO2_ERROR_INVALID_ARGS, "the orchestration has returned inside of a scope");
    }
    return now.fatal == 0;
}

/* Each round finds the arguments as they were given, and no task of the one before. */
inline bool run_round(void (*entry)(const ChipTaskArgs &), const command_line &line,
                      const ChipTaskArgs &args, bool is_one_of_many) {
    run &now = current();
    for (size_t i = 0; i < args.tensors.size(); i++) {
        const std::string error = load(line.arguments[i], args.tensors[i].value);
        if (!error.empty()) {
            fatal(PTO2_ERROR_INVALID_ARGS, "argument %zu: %s", i, error.c_str());
            return false;
        }
    }
    if (is_one_of_many && failed(now.api->scope_begin(now.graph))) return false;
    if (!call_entry(entry, args)) return false;
    if (is_one_of_many && failed(now.api->scope_end(now.graph))) return false;
    if (failed(now.api->wait(now.graph))) return false;
    forget(now.scopes[0]);
    now.scopes[0].outputs.clear();
    now.scopes[0].tasks.clear();
    return true;
}

inline int32_t run_program(const pto2_program_api *api, pto2_graph *graph, int32_t argc,
                           const char *const *argv, void (*entry)(const ChipTaskArgs &),
                           const kernel_name *names, uint32_t name_count) {
    run &now = current();
    now = run();
    now.api = api;
    now.graph = graph;
    now.names = names;
    now.name_count = name_count;
    now.scopes.emplace_back();
    now.machine.bytes = sizeof now.machine;
    if (failed(api->machine(graph, &now.machine))) return 1;
    for (uint32_t i = 0; i < name_count; i++) {
        pto2_kernel kernel;
        if (failed(api->kernel(graph, names[i].name, &kernel))) return 1;
        now.kernels.push_back(kernel);
    }
    const command_line line = read_command_line(argc, argv);
    if (!line.error.empty()) {
        fatal(PTO2_ERROR_INVALID_ARGS, "%s", line.error.c_str());
        return 1;
    }
    ChipTaskArgs args;
    for (const argument &given : line.arguments) {
        if (given.kind == argument::SCALAR) {
            args.scalars.push_back(given.bits);
            continue;
        }
        ChipTaskArgs::Tensor tensor;
        if (!make_entry(given, &tensor.value)) return 1;
        args.tensors.push_back(tensor);
    }
    PTO2OrchestrationConfig (*const config)(const ChipTaskArgs &) = aicpu_orchestration_config;
    if (config != nullptr) {
        const int expected = config(args).expected_arg_count;
        const int count = args.tensor_count() + args.scalar_count();
        if (expected != count) {
            fatal(PTO2_ERROR_INVALID_ARGS,
                  "the orchestration takes %d tensors and scalars; it was given %d", expected,
                  count);
            return 1;
        }
    }
    const size_t handles = now.scopes[0].handles.size();
    for (uint32_t round = 0; round < line.rounds; round++) {
        now.scopes[0].handles.resize(handles); /* of the arguments alone */
        if (!run_round(entry, line, args, line.rounds > 1)) return 1;
    }
    for (size_t i = 0; i < args.tensors.size(); i++) {
        const std::string error = save(line.arguments[i], args.tensors[i].value);
        if (error.empty()) continue;
        fatal(PTO2_ERROR_EXPLICIT_ORCH_FATAL, "argument %zu: %s", i, error.c_str());
        return 1;
    }
    return 0;
}

} // namespace pto2_compat

/* The entry, the list of kernels, and the image that has them. */
#define PTO2_COMPAT_PROGRAM(entry, names, image)                                          \
    const char *const *pto2_program_images(void) {                                        \
        static const char *const images[] = {image, nullptr};                             \
        return images;                                                                    \
    }                                                                                     \
    int32_t pto2_program_main(const pto2_program_api *api, pto2_graph *graph, int32_t argc, \
                              const char *const *argv) {                                  \
        return pto2_compat::run_program(api, graph, argc, argv, entry, names,             \
                                        uint32_t(sizeof names / sizeof names[0]) - 1);    \
    }

#endif
