"""Optimised LLVM instructions of every compiled function, for a named processor: a measure of code that needs no clock.

    python benchmarks/instructions.py avx2

Every function of kernels/ (each part of the compiled program, and each loop over arrays) is optimised on its own by
Numba's pipeline at its full level, with what it calls inlined where LLVM inlines it, and its instructions are counted.
The code is made for processors that need not be this one: nothing of it runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

#: A processor of each kind, and the features that the kernels and LLVM are told of.
TARGETS = {
    "avx2": ("haswell", "+sse4.2,+avx,+avx2,+fma,+f16c,+bmi,+bmi2"),
    "avx512": (
        "skylake-avx512",
        "+sse4.2,+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+avx512f,+avx512dq,+avx512cd,+avx512bw,+avx512vl",
    ),
}

DTYPES = ("float32", "float64")

#: Seconds in which the functions of one target must be compiled.
LIMIT = 900


def of_target(target: str) -> dict[str, int]:
    """``"float32 training.train": count``: of every function for both dtypes, compiled in a process that takes the
    target's processor for its own."""
    name, features = TARGETS[target]
    environment = {**os.environ, "NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}
    done = subprocess.run(
        [sys.executable, __file__, target],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=LIMIT,
    )
    return json.loads(done.stdout)


def count(dtype: str, features: str) -> dict[str, int]:
    """The functions of one dtype, for the processor that the environment names."""
    from numba import njit
    from numba.core import config

    from npvae.kernels.cpu import loops, program
    from npvae.kernels.cpu.target import of_machine

    found, intrinsics = {}, {}
    compile_extra, make_intrinsic = loops.Part.compile_extra, loops.make_intrinsic

    def note_part(self, function):
        result = compile_extra(self, function)
        name = f"{function.__module__.removeprefix('npvae.kernels.')}.{function.__name__}"
        found[name] = result.library, result.fndesc.mangled_name
        return result

    def note_intrinsic(signature, codegen):
        made = make_intrinsic(signature, codegen)
        maker = sys._getframe(1)
        body = maker.f_locals.get("body")
        if body is not None and body.__defaults__:  # a function of one number, by its name in the program
            body = body.__defaults__[0]
        if body is not None:
            names = {function: name for name, function in program.ELEMENTARY.items()}
            name = f"{maker.f_code.co_name}.{names.get(body, body.__name__)}"
            same = sum(other.split(" ")[0] == name for other in intrinsics)
            intrinsics[f"{name} {same + 1}" if same else name] = signature, made
        return made

    loops.Part.compile_extra, loops.make_intrinsic = note_part, note_intrinsic
    level, config.LOOP_VECTORIZE, config.SLP_VECTORIZE = config.OPT, 0, 0  # as library.py compiles
    config.OPT = type(level)(1)
    run = program.make(of_machine(dtype, "x86_64-unknown-linux-gnu", features), True)
    config.OPT = level
    loops.compiled(2)(run)
    for name, (signature, made) in intrinsics.items():
        scope = {"made": made}
        arguments = ", ".join(f"a{i}" for i in range(len(signature.args)))
        exec(f"def function({arguments}):\n    return made({arguments})", scope)
        function = njit(signature, nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
        (result,) = function(scope["function"]).overloads.values()
        found[name] = result.library, result.fndesc.mangled_name
    return {f"{dtype} {name}": optimised(*each) for name, each in sorted(found.items())}


def optimised(library, name: str) -> int:
    """The instructions of a library's function after Numba's passes at the full level."""
    module, codegen = library._final_module.clone(), library.codegen
    for passes, builder in (codegen._module_pass_manager(opt=0, cost="cheap"), codegen._module_pass_manager()):
        passes.run(module, builder)
    return sum(1 for block in module.get_function(name).blocks for _ in block.instructions)


def main() -> None:
    """In the process of one target: print the counts as JSON."""
    _, features = TARGETS[sys.argv[1]]
    if os.environ.get("NUMBA_CPU_FEATURES") != features:
        print(json.dumps(of_target(sys.argv[1]), indent=2))
        return
    from numba.core.compiler_lock import global_compiler_lock

    with global_compiler_lock:
        counts = [count(dtype, features) for dtype in DTYPES]
    print(json.dumps(counts[0] | counts[1]))


if __name__ == "__main__":
    main()
