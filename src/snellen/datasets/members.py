"""The members of the ImageNet family: what each one is, whose it is, and where it comes from."""

from dataclasses import dataclass

# The corruptions of ImageNet-C by the tar file that holds them; each has severities 1 to 5.
# Hendrycks and Dietterich, arXiv 1903.12261; `extra` are its four validation corruptions.
CORRUPTION_GROUPS = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "weather": ("frost", "snow", "fog", "brightness"),
    "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
    "extra": ("speckle_noise", "gaussian_blur", "spatter", "saturate"),
}
CORRUPTIONS = tuple(name for group in CORRUPTION_GROUPS.values() for name in group)
SEVERITIES = (1, 2, 3, 4, 5)

RELEASED_C, MADE_C = "imagenet-c", "imagenet-c-made"


@dataclass(frozen=True)
class HubCopy:
    """A copy on the Hub whose files are Parquet.

    label: the column of its labels, where it has no usual name.
    gated: whether its terms must be accepted there first.
    """

    repository: str
    split: str
    label: str | None = None
    gated: bool = False


@dataclass(frozen=True)
class Member:
    """One data set of the family, or for ImageNet-C `sets` of them.

    images: how many it has officially (each, where there are several); for ObjectNet those of the classes that count.
    classes: how many classes its images have.
    licence: as its authors state it.
    source: its home page, or its repository on the Hub where that is its home.
    download: the file to get there, and what it unpacks to: the layout that --root expects.
    folders: names that its folder goes by.
    """

    name: str
    aliases: tuple[str, ...]
    about: str
    images: int
    classes: int
    licence: str
    source: str
    download: str
    folders: tuple[str, ...]
    hub: HubCopy | None = None
    sets: int = 1


def _v2(variant: str, tar: str, about: str, aliases: tuple[str, ...]) -> Member:
    folder = f"imagenetv2-{tar}-format-val"
    return Member(
        f"imagenet-v2{variant}",
        (*aliases, f"imagenetv2-{tar}", folder),
        about,
        10_000,
        1000,
        "MIT",
        "https://github.com/modestyachts/ImageNetV2",
        f"imagenetv2-{tar}.tar.gz: {folder}/<class number>/*.jpeg",
        (folder, f"imagenetv2-{tar}", *((f"imagenetv2-{variant[1:]}-format-val",) if variant else ("imagenet-v2",))),
    )


def _hard(name: str, alias: str, repository: str, about: str) -> Member:
    return Member(
        name,
        (alias,),
        about,
        10_980,
        1000,
        "MIT",
        repository,
        f"the Parquet files of {repository}",
        (name, alias, repository.rpartition("/")[2]),
        HubCopy(repository, "validation"),
    )


MEMBERS = (
    Member(
        "imagenet",
        ("imagenet-1k", "ilsvrc2012"),
        "ILSVRC 2012 validation images; labels: imagenet, real, imagenet+real",
        50_000,
        1000,
        "ImageNet terms of access (non-commercial research and education)",
        "https://image-net.org",
        "ILSVRC2012_img_val.tar: ILSVRC2012_val_*.JPEG, flat or sorted into val/<wnid>/",
        ("imagenet", "imagenet-1k", "ilsvrc2012", "ilsvrc2012_img_val", "ilsvrc", "imagenet-val"),
        HubCopy("ILSVRC/imagenet-1k", "validation", gated=True),
    ),
    _v2("", "matched-frequency", "a second test set, MatchedFrequency", ("imagenet-v2/matched-frequency",)),
    _v2("/threshold-0.7", "threshold0.7", "a second test set, Threshold0.7", ("imagenet-v2/threshold0.7",)),
    _v2("/top-images", "top-images", "a second test set, TopImages", ("imagenet-v2/topimages",)),
    Member(
        "imagenet-a",
        (),
        "natural adversarial examples",
        7500,
        200,
        "MIT",
        "https://github.com/hendrycks/natural-adv-examples",
        "imagenet-a.tar: imagenet-a/<wnid>/*.jpg",
        ("imagenet-a",),
        HubCopy("barkermrl/imagenet-a", "train"),
    ),
    Member(
        "imagenet-r",
        ("imagenet-rendition",),
        "renditions: art, cartoons, sculptures, …",
        30_000,
        200,
        "not stated",
        "https://github.com/hendrycks/imagenet-r",
        "imagenet-r.tar: imagenet-r/<wnid>/*.jpg",
        ("imagenet-r", "imagenet-rendition"),
        HubCopy("axiong/imagenet-r", "test", label="wnid"),
    ),
    Member(
        "imagenet-sketch",
        (),
        "black and white sketches",
        50_889,
        1000,
        "MIT",
        "https://github.com/HaohanWang/ImageNet-Sketch",
        "ImageNet-Sketch.zip: sketch/<wnid>/*.JPEG",
        ("sketch", "imagenet-sketch"),
    ),
    Member(
        RELEASED_C,
        (),
        "19 corruptions x 5 severities of the validation images: imagenet-c/<corruption>/<severity>",
        50_000,
        1000,
        "CC BY 4.0",
        "https://zenodo.org/record/2235448",
        "blur, digital, extra, noise and weather.tar: <corruption>/<severity>/<wnid>/*.JPEG",
        ("imagenet-c",),
        sets=len(CORRUPTIONS) * len(SEVERITIES),
    ),
    Member(
        MADE_C,
        (),
        "the same corruptions, made here from clean images (not the released set): "
        "imagenet-c-made/<corruption>/<severity>",
        50_000,
        1000,
        "that of the clean images",
        "https://github.com/imaug/imagecorruptions",
        "the validation images of imagenet, or any data set by from=DATA",
        (),
        sets=len(CORRUPTIONS) * len(SEVERITIES),
    ),
    Member(
        "objectnet",
        ("objectnet-1.0",),
        "objects at unusual places and angles; the 113 of its 313 classes that ImageNet has",
        18_574,
        113,
        "CC BY 4.0 with two clauses: never tune on it; show its images only with their red border",
        "https://objectnet.dev",
        "objectnet-1.0.zip: objectnet-1.0/images/<class>/*.png and objectnet-1.0/mappings/",
        ("objectnet-1.0", "objectnet"),
    ),
    _hard("imagenet-hard", "imagenethard", "taesiri/imagenet-hard", "what no zoom makes right, cleaned by people"),
    _hard("imagenet-hard-4k", "imagenethard4k", "taesiri/imagenet-hard-4K", "ImageNet-Hard, upscaled to 4K"),
)


def member_of(name: str) -> Member:
    """The member that a canonical name of one data set belongs to.

    >>> member_of("imagenet-c/fog/3").name, member_of("imagenet-v2/top-images").name
    ('imagenet-c', 'imagenet-v2/top-images')
    """
    members = {member.name: member for member in MEMBERS}
    return members.get(name) or members[name.partition("/")[0]]
