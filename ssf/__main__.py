"""python -m ssf: train a network by its config, list the presets."""

import argparse
import ast
import sys

from ssf.config import PRESETS, PUBLISHED_ACCURACY, Refused, preset

EXAMPLES = """examples:
  python -m ssf presets
  python -m ssf train --preset quick --seed 1
  python -m ssf train --preset quick -o model.width=48 -o train.epochs=5
"""


def option(text):
    """ "model.width=48" -> ("model.width", 48); what is no Python literal is a string."""
    key, sign, value = text.partition("=")
    if not sign:
        raise Refused(f"-o is {text!r}; allowed: field=value, e.g. model.width=48.")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def list_presets(_):
    from ssf import cost

    row = "{:<22}{:<18}{:>12}{:>9}   {:<16}{}".format
    print(row("preset", "id", "parameters", "GMACs", "data", "published accuracy (%)"))
    for name, config in PRESETS.items():
        size, macs = (count(config.model, config.selector) for count in (cost.parameters, cost.macs))
        published = ", ".join(f"{d} {a}" for d, a in PUBLISHED_ACCURACY.get(name, {}).items())
        print(row(name, config.hash(), f"{size:,}", f"{macs / 1e9:.3f}", config.data.name, published or "–"))
    print(
        "\nMACs are those of one image, all time steps; accuracies those of the dense network (Zhou et al., ICLR 2023)."
    )


def train(args):
    config = preset(args.preset, **{"seed": args.seed, **dict(map(option, args.override))})
    from ssf import runs, store

    record = runs.run(config).record
    print(
        f"accuracy {record['accuracy']:.4f} · {record['parameters_left']:,} of {record['parameters']:,} parameters"
        f" · {record['macs'] / 1e9:.4f} GMACs · {store.run_folder(config)}"
    )


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m ssf", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    commands.add_parser("presets", help="every preset with its parameters and MACs").set_defaults(do=list_presets)
    sub = commands.add_parser(
        "train",
        help="train one network, or find it under runs/",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub.add_argument("--preset", default="quick", help="its starting point (default: quick)")
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("-o", "--override", action="append", default=[], metavar="FIELD=VALUE")
    sub.set_defaults(do=train)
    args = parser.parse_args(argv)
    try:
        args.do(args)
    except (ValueError, OSError) as error:
        print(f"ssf: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
