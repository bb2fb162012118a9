# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""
What ds003020 (LeBel et al. 2023) is known to hold: counts, names and sizes, no recordings.

Sources: OpenNeuro ds003020, version 3.1.0: its `derivative/respdict.json`, the names of its raw files, and its git
tree, where each file stands with its size and MD5. Voxels and repeats follow from the sizes: a file of responses has
`2048 + 8 * values` bytes, as h5py writes contiguous doubles, without exception in 431 files; files of the test story
have 120 bytes more in eight of nine subjects, and what these hold is not described.
"""

from collections.abc import Mapping
from dataclasses import dataclass


#: Frames of a raw scan that its responses lack: ten at the head and ten at the tail.
TRIMMED_FRAMES = 20
#: The story that every subject heard again and again, and that the standard division tests on.
TEST_STORY = "wheretheressmoke"

#: Frames of each story's raw scan (`derivative/respdict.json`).
_SCAN_LENGTHS = (
    "adollshouse=261 adventuresinsayingyes=411 afatherscover=332 againstthewind=190 alternateithicatom=363 "
    "avatar=387 backsideofthestorm=365 becomingindian=408 beneaththemushroomcloud=362 birthofanation=284 "
    "bluehope=429 breakingupintheageofgoogle=541 buck=352 catfishingstrangerstofindmyself=346 cautioneating=299 "
    "christmas1940=263 cocoonoflove=449 comingofageondeathrow=369 exorcism=487 eyespy=399 firetestforlove=338 "
    "food=390 forgettingfear=257 fromboyhoodtofatherhood=368 gangstersandcookies=276 goingthelibertyway=414 "
    "goldiethegoldfish=337 golfclubbing=221 gpsformylostidentity=346 hangtime=344 haveyoumethimyet=516 "
    "howtodraw=374 ifthishaircouldtalk=269 inamoment=225 itsabox=375 jugglingandjesus=213 kiksuya=352 "
    "leavingbaghdad=347 legacy=420 life=450 lifeanddeathontheoregontrail=381 lifereimagined=347 listo=380 "
    "mayorofthefreaks=495 metsmagic=248 mybackseatviewofagreatromance=404 myfathershands=190 "
    "myfirstdaywiththeyankees=378 naked=442 notontheusualtour=265 odetostepfather=424 onlyonewaytofindout=402 "
    "penpal=275 quietfire=475 reachingoutbetweenthebars=316 shoppinginchina=357 singlewomanseekingmanwich=317 "
    "sloth=457 souls=375 stagefright=313 stumblinginthedark=509 superheroesjustforeachother=345 sweetaspie=177 "
    "swimmingwithastronauts=405 thatthingonmyarm=454 theadvancedbeginner=338 theclosetthatateeverything=334 "
    "thecurse=427 thefreedomridersandme=354 theinterview=241 thepostmanalwayscalls=474 theshower=412 "
    "thetiniestbouquet=191 thetriangleshirtwaistconnection=222 threemonths=373 thumbsup=434 tildeath=343 "
    "treasureisland=414 undertheinfluence=324 vixenandtheussr=411 waitingtogo=369 whenmothersbullyback=327 "
    "wheretheressmoke=311 wildwomenanddancingqueens=209"
)
_STORIES_OF_27 = (
    "adollshouse adventuresinsayingyes alternateithicatom avatar buck exorcism eyespy fromboyhoodtofatherhood "
    "hangtime haveyoumethimyet howtodraw inamoment itsabox legacy life myfirstdaywiththeyankees naked "
    "odetostepfather sloth souls stagefright swimmingwithastronauts thatthingonmyarm theclosetthatateeverything "
    "tildeath undertheinfluence wheretheressmoke"
)
#: Sessions of UTS03; those of other subjects can be read from the names of the raw files, where a copy has them.
_SESSIONS_OF_UTS03 = {
    "2": "alternateithicatom avatar legacy odetostepfather souls",
    "3": "howtodraw life myfirstdaywiththeyankees naked undertheinfluence",
    "4": "exorcism fromboyhoodtofatherhood sloth stagefright tildeath",
    "5": ("adollshouse adventuresinsayingyes buck haveyoumethimyet inamoment theclosetthatateeverything"),
    "6": "eyespy hangtime itsabox swimmingwithastronauts thatthingonmyarm",
    "7": "breakingupintheageofgoogle onlyonewaytofindout penpal shoppinginchina treasureisland",
    "8": ("backsideofthestorm goingthelibertyway kiksuya sweetaspie thepostmanalwayscalls thetiniestbouquet"),
    "9": "becomingindian lifeanddeathontheoregontrail thefreedomridersandme thumbsup waitingtogo",
    "10": (
        "catfishingstrangerstofindmyself christmas1940 gpsformylostidentity singlewomanseekingmanwich "
        "superheroesjustforeachother whenmothersbullyback"
    ),
    "11": ("againstthewind bluehope forgettingfear ifthishaircouldtalk lifereimagined stumblinginthedark"),
    "12": "cocoonoflove comingofageondeathrow goldiethegoldfish leavingbaghdad quietfire",
    "14": (
        "afatherscover food mybackseatviewofagreatromance notontheusualtour reachingoutbetweenthebars "
        "wildwomenanddancingqueens"
    ),
    "15": ("beneaththemushroomcloud gangstersandcookies golfclubbing metsmagic threemonths vixenandtheussr"),
    "18": "birthofanation firetestforlove listo myfathershands theadvancedbeginner theshower",
    "20": ("cautioneating jugglingandjesus mayorofthefreaks thecurse theinterview thetriangleshirtwaistconnection"),
}


@dataclass(frozen=True)
class SourceFile:
    """Size in bytes and MD5 of a file, as far as they are known."""

    size: int | None = None
    md5: str | None = None


@dataclass(frozen=True)
class Lebel2023Facts:
    """
    What a copy is compared with.

    Args:
        scan_lengths (`Mapping[str, int]`):
            Frames of the raw scan of each story.
        voxels, num_stories, repeats (`Mapping[str, int]`):
            Of each subject, the number of voxels, of stories heard, and of repeats of the test story.
        stories (`Mapping[str, frozenset[str]]`):
            Which stories they were, for the subjects of whom that is known.
        sessions (`Mapping[str, Mapping[str, str]]`):
            For some subjects, the session of each story.
        repeat_sessions (`Mapping[str, tuple[str, ...]]`):
            For some subjects, the session of each repeat of the test story.
        unknown_bytes (`Mapping[str, int]`):
            Bytes of a subject's test story that neither of its arrays explains.
        files (`Mapping[str, SourceFile]`):
            Single files below `derivative`.
    """

    scan_lengths: Mapping[str, int]
    voxels: Mapping[str, int]
    num_stories: Mapping[str, int]
    repeats: Mapping[str, int]
    stories: Mapping[str, frozenset[str]]
    sessions: Mapping[str, Mapping[str, str]]
    repeat_sessions: Mapping[str, tuple[str, ...]]
    unknown_bytes: Mapping[str, int]
    files: Mapping[str, SourceFile]

    def num_frames(self, story: str) -> int:
        """Frames of the responses to a story."""
        return self.scan_lengths[story] - TRIMMED_FRAMES

    def response_file(self, subject: str, story: str) -> SourceFile:
        """Size and MD5 of the responses of a subject to a story."""
        if subject not in self.voxels or story not in self.scan_lengths:
            return SourceFile()
        copies, unknown = 1, 0
        if story == TEST_STORY:
            copies, unknown = 1 + self.repeats[subject], self.unknown_bytes.get(subject, 0)
        size = 2048 + 8 * copies * self.num_frames(story) * self.voxels[subject] + unknown
        known = self.files.get(f"preprocessed_data/{subject}/{story}.hf5", SourceFile())
        return SourceFile(size, known.md5)


#: Of each subject: voxels, stories, repeats of the test story.
_SUBJECTS = {
    "UTS01": (81126, 84, 10),
    "UTS02": (94251, 84, 10),
    "UTS03": (95556, 84, 10),
    "UTS04": (109469, 26, 5),
    "UTS05": (99322, 27, 5),
    "UTS06": (92198, 27, 5),
    "UTS07": (94395, 27, 5),
    "UTS08": (97023, 27, 5),
    "UTS09": (98336, 54, 5),
}


def _published() -> Lebel2023Facts:
    pairs = (entry.split("=") for entry in _SCAN_LENGTHS.split())
    lengths: dict[str, int] = {story: int(length) for story, length in pairs}
    sets = {84: frozenset(lengths), 27: frozenset(_STORIES_OF_27.split())}
    sets[26] = sets[27] - {"life"}
    return Lebel2023Facts(
        scan_lengths=lengths,
        voxels={subject: voxels for subject, (voxels, _, _) in _SUBJECTS.items()},
        num_stories={subject: stories for subject, (_, stories, _) in _SUBJECTS.items()},
        repeats={subject: repeats for subject, (_, _, repeats) in _SUBJECTS.items()},
        # Which 54 of the 84 stories UTS09 heard is not stated anywhere; `fromboyhoodtofatherhood` is not among them.
        stories={subject: sets[stories] for subject, (_, stories, _) in _SUBJECTS.items() if stories in sets},
        sessions={
            "UTS03": {story: session for session, names in _SESSIONS_OF_UTS03.items() for story in names.split()}
        },
        repeat_sessions={"UTS03": tuple(str(session) for session in range(2, 12))},
        unknown_bytes={subject: 120 for subject in _SUBJECTS if subject != "UTS09"},
        files={
            "preprocessed_data/UTS03/wheretheressmoke.hf5": SourceFile(2447000216, "3fba56c02c3b7eb2bb48613901b91a5a"),
            "TextGrids/wheretheressmoke.TextGrid": SourceFile(998492, "f0b40e0383a27394f7490252f65283f7"),
            "TextGrids/life.TextGrid": SourceFile(273565),
            "TextGrids/legacy.TextGrid": SourceFile(373948),
            "TextGrids/exorcism.TextGrid": SourceFile(532973),
        },
    )


PUBLISHED = _published()

__all__ = ["PUBLISHED", "TEST_STORY", "TRIMMED_FRAMES", "Lebel2023Facts", "SourceFile"]
