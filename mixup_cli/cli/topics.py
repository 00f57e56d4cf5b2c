"""The texts of `mixup help TOPIC`; the first line of each is its title."""

TOPICS = {
    "alpha": """
How strongly images are mixed: lam ~ Beta(alpha, alpha)

Each output is lam * a + (1 - lam) * b, pixels and labels alike; lam always
weighs a.

  --alpha 0     lam is 1: nothing is mixed
  --alpha 0.2   most outputs are nearly one of the two images; the default
  --alpha 1     every lam is equally likely
  --alpha 100   lam stays near 1/2: always half and half
  --alpha 0.2,1 Beta(0.2, 1): b outweighs a; with --balance Balanced-MixUp

The paper (Zhang et al. 2018) takes 0.1 to 0.4 for ImageNet, 1 for CIFAR-10
and 8 to 32 against noisy labels. At 0.2 some 30% of the 8-bit outputs equal
one of their sources, at 1 some 0.4%; each run says its share.

  --lam X       one fixed weight instead
  --min-mix M   lam is drawn again until min(lam, 1 - lam) >= M
  --max-mix M   lam is drawn again until min(lam, 1 - lam) <= M: one image
                stays dominant

  mixup alpha 0.1 0.2 1 8
  mixup augment photos/ mixed/ --alpha 0.4 --min-mix 0.05 --max-mix 0.4
  mixup augment photos/ half/ --lam 0.5
""",
    "pairing": """
Who is mixed with whom

Each copy (--copies, or --count outputs in all) is a ring: every image serves
once as a and once as b, and none is its own partner.

  --pair any          partners from anywhere; the default
  --pair same         from the same class: labels stay as they are
  --pair different    from another class: every label is mixed
  --balance           every class serves equally often as a, so rare classes
                      are seen more often
  --include-originals each image once more as itself, in the same size and
                      colour: the output is a whole training set
  --label-policy remix
                      the label goes to the rarer class (Chou et al. 2020)

A class is the heaviest one of an image with several labels. Few copies
without the originals trained worse than no mixup at all: take four copies or
more, or --include-originals.

  mixup plan photos/ --pair different --copies 4
  mixup augment photos/ mixed/ --balance --alpha 0.2,1
""",
    "sizes": """
Which size and colour the outputs have

Without --size an output is as large as its image a, and b is fitted to it;
frameworks want one size for all, so give it:

  --size 224          224 by 224 pixels
  --size 320x240      width by height

  --fit cover         fill the size and crop what stands over; the default
  --fit contain       show all, and pad with --background
  --fit stretch       ignore the aspect ratio

Pictures turned by their camera (EXIF) are upright first; scaling is Pillow's
antialiased bilinear filter. Colour is the richer of the two, so grey stays
grey and 16 bits stay 16 bits; --mode L, L16, RGB, RGB16 or RGBA fixes it.
Transparency is laid over --background.

  mixup augment photos/ mixed/ --size 224 --fit contain --background black
  mixup augment photos/ grey/ --size 64 --mode L
""",
    "formats": """
What can be read, and what is written

The reader is chosen by looking at IN; --reader forces one.

  folder        a folder for each class, images at any depth
  csv           --labels FILE: file and label, several labels, or a column of
                weights for each class
  imagefolder   Hugging Face's metadata.csv or metadata.jsonl
  mixup         the output of an earlier run, soft labels included
  webdataset    tar shards: images with a .cls or a .json beside them
  list          --files-from FILE; the label is the parent folder

Images are .jpg .jpeg .png .ppm .bmp .pgm .tif .tiff .webp; what a file really
is, its content decides.

Written are PNGs, and with them
  labels.csv    file_name and a weight for each class; each row sums to 1
  metadata.csv  file_name, the two sources, lam and their labels: a plan that
                mixup render takes
  classes.txt   the order of the classes
  rejects.csv   sources that could not be used, and why
  mixup.json    options, versions, counts; written last: it means complete
--format webdataset or parquet puts a shard into one file, labels included.
--layout classes puts each PNG into the folder of its dominant class, for tools
that know hard labels only; --max-mix 0.4 keeps that class dominant.

  mixup inspect photos/
  mixup augment photos/ mixed/ --label-format sparse
  mixup augment photos/ hard/ --layout classes --max-mix 0.4
""",
    "resume": """
Interrupted, killed, out of disk: how to go on

A folder under OUT/images/ is complete or not there at all, and mixup.json
means that everything is. After any end but success, repeat the command with
--resume: it ends with byte for byte the files of an uninterrupted run.

Exit codes 4 (I/O or a resource), 130 and 143 (interrupted) can be resumed; 5
says that another run is writing to OUT. With other options, or sources that
have changed in size or time, --resume is refused by exit code 6 and says what
differs; --hash-inputs compares contents. --overwrite starts again.

  mixup augment photos/ mixed/ --copies 4
  mixup augment photos/ mixed/ --copies 4 --resume

Over several machines, each renders a part; --resume finishes:

  mixup augment photos/ parts/ --part 1/2
  mixup augment photos/ parts/ --part 2/2
  mixup augment photos/ parts/ --resume
""",
    "settings": """
Options from variables and files, and completion in the shell

A flag stands over a variable, a variable over a file, a file over the
default; what came from where is printed.

Every option has a variable: MIXUP_SIZE=224, MIXUP_MIN_MIX=0.1. A switch is 1
or 0: MIXUP_BALANCE=1, MIXUP_NO_SYNC=1. Several values stand between commas:
MIXUP_INCLUDE_CLASS=cat,dog.

A file is TOML: --config FILE or MIXUP_CONFIG, or else the table [tool.mixup]
of the nearest pyproject.toml, in this folder or above.

    size = "320x240"
    copies = 4
    balance = true
    include-class = ["cat", "dog"]

Paths in it are relative to the file; --config /dev/null reads none.

Completion of commands, options and choices; put the line into

  ~/.bashrc                    eval "$(_MIXUP_COMPLETE=bash_source mixup)"
  ~/.zshrc                     eval "$(_MIXUP_COMPLETE=zsh_source mixup)"
  ~/.config/fish/completions/mixup.fish
                               _MIXUP_COMPLETE=fish_source mixup | source
""",
}
