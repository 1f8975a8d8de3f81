"""python -m ssf: train a network by its config, sweep a notebook over parameters, list presets and results."""

import argparse
import ast
import os
import sys
from dataclasses import fields

from ssf import folders
from ssf.config import PARTS, Failed, Refused, RunConfig
from ssf.presets import PRESETS, PUBLISHED_ACCURACY, preset

DONE, FAILED, WRONG_USE = 0, 1, 2
EXAMPLES = {
    "presets": "  python -m ssf presets",
    "train": """  python -m ssf train --preset quick --seed 1 -o epochs=3
  python -m ssf train --preset quick -o model.width=48 -o ticket.round=2
  torchrun --nproc-per-node 2 -m ssf train --preset smoke""",
    "sweep": """  python -m ssf sweep notebooks/02_winning_tickets.ipynb -p seed=0,1,2 -p rounds=3
  python -m ssf sweep notebooks/03_token_selector.ipynb -p seed=0,1 --scheduler tcp://host:8786""",
    "bench": """  python -m ssf bench --quick
  python -m ssf bench --only feeding""",
    "study": """  python -m ssf study tickets --seeds 0,1,2
  python -m ssf study tickets --seeds 3,4 --only dense --only ticket""",
    "inside": "  python -m ssf inside",
    "results": """  python -m ssf results
  python -m ssf results --export mine
  python -m ssf results --rerun 35db12d4b7f3a034""",
}


def known(what, given, allowed):
    """Refuses what is not among the allowed names."""
    if given not in allowed:
        raise Refused(f"{what} is {given!r}; allowed: {', '.join(allowed)}.")


def option(text):
    """ "model.width=48" -> ("model.width", 48); "epochs=3" -> ("train.epochs", 3); no Python literal: a string."""
    key, sign, value = text.partition("=")
    if not sign:
        raise Refused(f"-o is {text!r}; allowed: field=value, e.g. model.width=48.")
    owners = [
        f"{part}.{key}" for part, kind in PARTS.items() if key in {f.name for f in fields(kind)}
    ]
    if len(owners) == 1 and key not in {f.name for f in fields(RunConfig)}:
        key = owners[0]
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def values(text):
    """ "seed=0,1,2" -> ("seed", [0, 1, 2]), each value as papermill takes it."""
    from papermill.cli import _resolve_type

    key, sign, given = text.partition("=")
    if not sign or not key:
        raise Refused(f"-p is {text!r}; allowed: parameter=value,value,…, e.g. seed=0,1,2.")
    return key, [_resolve_type(value) for value in given.split(",")]


def list_presets(_):
    from ssf.model import cost

    row = "{:<22}{:<18}{:>12}{:>9}   {:<16}{}".format
    print(row("preset", "id", "parameters", "GMACs", "data", "published accuracy (%)"))
    for name, config in PRESETS.items():
        size, macs = (
            count(config.model, config.selector) for count in (cost.parameters, cost.macs)
        )
        published = ", ".join(f"{d} {a}" for d, a in PUBLISHED_ACCURACY.get(name, {}).items())
        print(
            row(
                name,
                config.hash(),
                f"{size:,}",
                f"{macs / 1e9:.3f}",
                config.data.name,
                published or "–",
            )
        )
    print(
        "\nMACs: of one image, all time steps. Accuracies: of the dense network (Zhou et al., ICLR 2023)."
    )
    return DONE


def train(args):
    config = preset(args.preset, **{"seed": args.seed, **dict(map(option, args.override))})
    from ssf import distributed
    from ssf.engine import records, runs

    with distributed.processes():
        record = runs.run(config).record
        if distributed.rank() == 0:
            print(
                f"accuracy {record['accuracy']:.4f} · {record['parameters_left']:,} of {record['parameters']:,} "
                f"parameters · {record['macs'] / 1e9:.4f} GMACs · {records.run_folder(config)}"
            )
    return DONE


def sweep(args):
    from ssf.engine.sweep import folder_of
    from ssf.engine.sweep import sweep as run_sweep

    parameters = {}
    for name, given in map(values, args.parameter):
        if name in parameters:
            raise Refused(
                f"-p {name} is given twice; allowed: once, with all its values: {name}=0,1."
            )
        parameters[name] = given
    before, outcomes = run_sweep(args.notebook, parameters, args.out, args.scheduler, args.workers)
    failed = [o for o in outcomes if o["error"]]
    for outcome in failed:
        print(f"ssf: failed at {outcome['point']}: {outcome['error']}", file=sys.stderr)
    print(
        f"{before + len(outcomes) - len(failed)} of {before + len(outcomes)} points done "
        f"({before} before) · {folder_of(args.notebook, args.out)}"
    )
    return FAILED if failed else DONE


def bench(args):
    from ssf.engine import records
    from ssf.speed import bench

    for name in args.only:
        known("--only", name, bench.PARTS)
    rows = bench.run(args.quick, args.only)
    name = "_".join(["bench", *args.only, bench.device_name().replace(" ", "_")])
    shown = bench.ratios(rows).sort_values(
        ["measure", "network", "ratio"], ascending=[False, True, True]
    )
    if len(shown):
        print(shown.to_string(index=False, float_format=lambda v: f"{v:.3g}"))
    print(records.export(rows, name))
    return DONE


def study(args):
    from ssf.study import experiments

    known("the experiment", args.experiment, experiments.EXPERIMENTS)
    try:
        seeds = sorted({int(seed) for seed in args.seeds.split(",")})
    except ValueError:
        raise Refused(f"--seeds is {args.seeds!r}; allowed: whole numbers, e.g. 0,1,2.") from None
    kinds = dict.fromkeys(kind for kind, _ in experiments.EXPERIMENTS[args.experiment](0))
    for kind in args.only:
        known("--only", kind, kinds)
    for kind, run in experiments.run(args.experiment, seeds, args.only):
        told = run.record
        print(
            f"{kind}, seed {told['seed']}: accuracy {told['accuracy']:.4f}, sparsity {told['sparsity']:.3f}, "
            f"{told['seconds']:.0f} s",
            flush=True,
        )
    print(experiments.path(args.experiment))
    return DONE


def inside(_):
    from ssf.engine import records
    from ssf.figures import inside

    for name, table in inside.TABLES.items():
        print(records.export(table(), f"inside_{name}"))
    return DONE


def rerun(identity):
    from ssf.engine import records
    from ssf.study import experiments

    row, again, spread = experiments.rerun(identity)
    there, here = float(row["accuracy"]), again["accuracy"]
    verdict = "the same" if here == there else f"{100 * (here - there):+.2f} points"
    if here != there and spread is not None:
        verdict += f", seeds have a standard deviation of {100 * spread:.2f}"
    print(f"accuracy {there:.6f} in the row, {here:.6f} now: {verdict}")
    changed = [
        f"{key} {row[key]}, now {again[key]}"
        for key in records.MACHINE
        if row[key] != str(again[key])
    ]
    print(
        "\n".join(
            ["what computes is not what it was:", *changed] if changed else ["on the same versions"]
        )
    )
    return DONE


def results(args):
    from ssf.engine import records

    if args.rerun:
        return rerun(args.rerun)
    found, sentences = records.records()
    for sentence in sentences:
        print(f"ssf: {sentence}", file=sys.stderr)
    rows = records.frame(found)
    if args.export:
        print(records.export(rows, args.export))
    elif len(rows):
        shown = [
            "id",
            "data.name",
            "model.depth",
            "model.width",
            "ticket.control",
            "ticket.round",
            "selector.kind",
        ]
        shown += ["selector.keep_ratio", "seed", "accuracy", "sparsity", "macs", "seconds"]
        print(rows[shown].to_string(index=False, na_rep="–", float_format=lambda v: f"{v:.4g}"))
    else:
        print(f"no records under {folders.runs()}")
    return FAILED if sentences else DONE


def parser():
    form = argparse.RawDescriptionHelpFormatter
    every = "examples:\n" + "\n".join(EXAMPLES.values())
    top = argparse.ArgumentParser(
        "python -m ssf", description=__doc__, epilog=every, formatter_class=form
    )
    commands = top.add_subparsers(required=True, metavar="command")

    def command(name, do, text):
        sub = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=f"examples:\n{EXAMPLES[name]}",
            formatter_class=form,
        )
        sub.set_defaults(do=do)
        return sub

    command("presets", list_presets, "every preset with its parameters and MACs")
    sub = command("train", train, "train one network, go on with it, or find it under runs/")
    sub.add_argument("--preset", default="quick", help="its starting point (default: quick)")
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("-o", "--override", action="append", default=[], metavar="FIELD=VALUE")
    sub = command("sweep", sweep, "execute a notebook at every point of a grid of parameters")
    sub.add_argument("notebook")
    sub.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE,VALUE,…")
    sub.add_argument(
        "--workers", type=int, help="points side by side (default: one for two cores, or one a GPU)"
    )
    sub.add_argument(
        "--scheduler", help="address of a Dask scheduler (default: a cluster on this machine)"
    )
    sub.add_argument(
        "--out", default="sweeps", help="folder of the executed notebooks (default: sweeps)"
    )
    sub = command(
        "bench", bench, "time the library beside the published implementation, into data/results/"
    )
    sub.add_argument(
        "--quick",
        action="store_true",
        help="in three minutes on two cores: fewer repeats and values",
    )
    sub.add_argument(
        "--only", action="append", default=[], metavar="PART", help="a part, into a file of its own"
    )
    sub = command(
        "study", study, "train what is missing of an experiment of the study, and write its rows"
    )
    sub.add_argument("experiment")
    sub.add_argument("--seeds", default="0,1,2")
    sub.add_argument(
        "--only", action="append", default=[], metavar="KIND", help="networks of that kind"
    )
    command(
        "inside", inside, "what some of the study's networks are like inside, into data/results/"
    )
    sub = command("results", results, "the records under runs/, as a table or a file")
    sub.add_argument("--export", metavar="NAME", help="write them to data/results/NAME.csv")
    sub.add_argument("--rerun", metavar="ID", help="train a network of the study again and compare")
    return top


def main(argv=None):
    args = parser().parse_args(argv)
    try:
        return args.do(args)
    except BrokenPipeError:  # the reader, head say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        print("ssf: interrupted; the same command goes on from here", file=sys.stderr)
        return FAILED
    except (ValueError, OSError) as error:
        print(f"ssf: {error}", file=sys.stderr)
        return WRONG_USE if isinstance(error, Refused) and not isinstance(error, Failed) else FAILED


if __name__ == "__main__":
    sys.exit(main())
