"""python -m ssf: train a network by its config, sweep a notebook, list presets and results."""

import argparse
import ast
import os
import sys
from dataclasses import fields

from ssf.config import PARTS, Failed, Refused, RunConfig, demand
from ssf.presets import PRESETS, PUBLISHED_ACCURACY, preset

DONE, FAILED, WRONG_USE = 0, 1, 2
EXAMPLES = """examples:
  python -m ssf presets
  python -m ssf train --preset quick --seed 1 -o epochs=3
  python -m ssf train --preset quick -o model.width=48 -o ticket.round=2
  torchrun --nproc-per-node 2 -m ssf train --preset smoke
  python -m ssf sweep notebooks/02_winning_tickets.ipynb -p seed=0,1,2 -p rounds=3
  python -m ssf bench --quick
  python -m ssf study tickets --seeds 0,1,2
  python -m ssf study tickets --seeds 3,4 --only dense --only ticket
  python -m ssf export 97b7acd93840cff6 --to live.html
  python -m ssf results
  python -m ssf results --rerun 97b7acd93840cff6"""


def option(text):
    """ "model.width=48" -> ("model.width", 48); "epochs=3" -> ("train.epochs", 3)."""
    key, sign, value = text.partition("=")
    demand(sign, "-o", text, "field=value, e.g. model.width=48")
    owners = [f"{name}.{key}" for name, part in PARTS.items() if key in part.__pydantic_fields__]
    if len(owners) == 1 and key not in {f.name for f in fields(RunConfig)}:
        key = owners[0]
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):  # no Python literal: a string
        return key, value


def list_presets(_):
    from ssf.model import cost

    row = "{:<22}{:<18}{:>12}{:>9}   {:<16}{}".format
    print(row("preset", "id", "parameters", "GMACs", "data", "published accuracy (%)"))
    for name, config in PRESETS.items():
        size = f"{cost.parameters(config.model, config.selector):,}"
        macs = f"{cost.macs(config.model, config.selector) / 1e9:.3f}"
        published = ", ".join(f"{d} {a}" for d, a in PUBLISHED_ACCURACY.get(name, {}).items())
        print(row(name, config.hash(), size, macs, config.data.name, published or "–"))
    print("\nMACs: of one image, all time steps.")
    print("Accuracies: of the dense network (Zhou et al., ICLR 2023).")


def train(args):
    config = preset(args.preset, **{"seed": args.seed, **dict(map(option, args.override))})
    from ssf import distributed
    from ssf.engine import runs
    from ssf.engine.records import run_folder

    with distributed.processes():
        record = runs.run(config).record
        if distributed.rank() == 0:
            left = f"{record['parameters_left']:,} of {record['parameters']:,} parameters"
            macs = f"{record['macs'] / 1e9:.4f} GMACs"
            print(f"accuracy {record['accuracy']:.4f} · {left} · {macs} · {run_folder(config)}")


def sweep(args):
    from ssf.engine import sweep

    parameters = {}
    for text in args.parameter:
        name, sign, values = text.partition("=")
        demand(name and sign, "-p", text, "parameter=value,value,…, e.g. seed=0,1,2")
        parameters.setdefault(name, []).extend(map(sweep.value_of, values.split(",")))
    options = args.out, args.scheduler, args.workers
    before, outcomes = sweep.sweep(args.notebook, parameters, *options)
    failed = [outcome for outcome in outcomes if outcome["error"]]
    for outcome in failed:
        print(f"ssf: failed at {outcome['point']}: {outcome['error']}", file=sys.stderr)
    points, folder = before + len(outcomes), sweep.folder_of(args.notebook, args.out)
    print(f"{points - len(failed)} of {points} points done ({before} before) · {folder}")
    return FAILED if failed else DONE


def bench(args):
    from ssf.engine import records
    from ssf.speed import bench

    for name in args.only:
        demand(name in bench.MEASUREMENTS, "--only", name, ", ".join(bench.MEASUREMENTS))
    rows = bench.benchmark(args.quick, args.only)
    order = ["measure", "network", "ratio"]
    shown = bench.ratios(rows).sort_values(order, ascending=[False, True, True])
    if len(shown):
        print(shown.to_string(index=False, float_format=lambda value: f"{value:.3g}"))
    name = "_".join(["bench", *args.only, bench.device_name().replace(" ", "_")])
    print(records.export(rows, name))


def study(args):
    from ssf.study import experiments, results

    known = experiments.EXPERIMENTS
    demand(args.experiment in known, "the experiment", args.experiment, ", ".join(known))
    try:
        seeds = sorted({int(seed) for seed in args.seeds.split(",")})
    except ValueError:
        raise Refused(f"--seeds is {args.seeds!r}; allowed: numbers, e.g. 0,1,2.") from None
    kinds = dict.fromkeys(kind for seed in seeds for kind, _ in known[args.experiment](seed))
    for kind in args.only:
        demand(kind in kinds, "--only", kind, ", ".join(kinds))
    with results.time_limit(args.minutes):
        for kind, run in results.run(args.experiment, seeds, args.only):
            row = "seed {seed}: accuracy {accuracy:.4f}, sparsity {sparsity:.3f}, {seconds:.0f} s"
            print(kind, row.format(**run.record), sep=", ", flush=True)
    print(results.path(args.experiment))


def export(args):
    from ssf.figures import live

    print(live.export(args.run, args.to))


def rerun(identity):
    from ssf.study import results

    row, record, deviation = results.rerun(identity)
    before, now = float(row["accuracy"]), record["accuracy"]
    verdict = "the same" if now == before else f"{100 * (now - before):+.2f} points"
    if now != before and deviation is not None:
        verdict += f", seeds have a standard deviation of {100 * deviation:.2f}"
    print(f"accuracy {before:.6f} in the row, {now:.6f} now: {verdict}")
    if changed := results.changed(row, record):
        print("what computes is not what it was:", *changed, sep="\n")
    else:
        print("on the same versions, by the same path")


def results(args):
    from ssf import folders
    from ssf.engine import records

    if args.rerun:
        return rerun(args.rerun)
    finished, sentences = records.records()
    for sentence in sentences:
        print(f"ssf: {sentence}", file=sys.stderr)
    rows = records.frame(finished)
    if args.export:
        print(records.export(rows, args.export))
    elif len(rows):
        shown = ["id", "data.name", "model.depth", "model.width", "ticket.control", "ticket.round"]
        shown += ["selector.kind", "selector.keep_ratio", "seed", "accuracy", "sparsity", "macs"]
        form = {"index": False, "na_rep": "–", "float_format": "{:.4g}".format}
        print(rows[[*shown, "seconds"]].to_string(**form))
    else:
        print(f"no records under {folders.runs()}")
    return FAILED if sentences else DONE


def parser():
    form = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    top = argparse.ArgumentParser("python -m ssf", description=__doc__, epilog=EXAMPLES, **form)
    commands = top.add_subparsers(required=True, metavar="command")

    def command(name, do, text):
        own = [line for line in EXAMPLES.splitlines() if f" ssf {name}" in line]
        epilog = "\n".join(["examples:", *own])
        sub = commands.add_parser(name, help=text, description=text, epilog=epilog, **form)
        sub.set_defaults(do=do)
        return sub.add_argument

    many = {"action": "append", "default": []}
    command("presets", list_presets, "every preset with its parameters and MACs")
    add = command("train", train, "train one network, go on with it, or find it under runs/")
    add("--preset", default="quick", help="its starting point (default: quick)")
    add("--seed", type=int, default=0)
    add("-o", "--override", metavar="FIELD=VALUE", **many)
    add = command("sweep", sweep, "execute a notebook at every point of a grid of parameters")
    add("notebook")
    add("-p", "--parameter", metavar="NAME=VALUE,VALUE,…", **many)
    add("--workers", type=int, help="points side by side (default: one for two cores or a GPU)")
    add("--scheduler", help="address of a Dask scheduler (default: a cluster on this machine)")
    add("--out", default="sweeps", help="folder of the executed notebooks (default: sweeps)")
    add = command("bench", bench, "time the library beside the published one, into data/results/")
    add("--quick", action="store_true", help="in three minutes: fewer repeats and values")
    add("--only", metavar="PART", help="a part, into a file of its own", **many)
    add = command("study", study, "train what is missing of an experiment, and write its rows")
    add("experiment")
    add("--seeds", default="0,1,2")
    add("--only", metavar="KIND", help="networks of that kind", **many)
    add("--minutes", type=float, help="stop after so long; the same command goes on from there")
    add = command("export", export, "one page that computes with finished runs, e.g. to hand out")
    add("run", nargs="+", metavar="RUN", help="ids under runs/; the first is shown first")
    add("--to", default="live.html", metavar="PATH")
    add = command("results", results, "the records under runs/, as a table or a file")
    add("--export", metavar="NAME", help="write them to data/results/NAME.csv")
    add("--rerun", metavar="ID", help="train a network of the study again and compare")
    return top


def main(argv=None):
    """The exit code of a command line: 0 done, 1 failed, 2 wrong use. A fault of ours is raised."""
    args = parser().parse_args(argv)
    try:
        return args.do(args) or DONE
    except BrokenPipeError:  # the reader, head say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        print("ssf: interrupted; the same command goes on from here", file=sys.stderr)
        return FAILED
    except Refused as error:
        print(f"ssf: {error}", file=sys.stderr)
        return FAILED if isinstance(error, Failed) else WRONG_USE


if __name__ == "__main__":
    sys.exit(main())
