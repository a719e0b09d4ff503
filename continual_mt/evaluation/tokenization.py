"""Which of sacreBLEU's tokenizations fits a language. Separate from `metrics`, whose sacreBLEU takes long to import.

Text without spaces between words is one word per sentence to 13a, and its BLEU is 0.0. sacreBLEU's flores and spm
tokenizations would fit, too, but they download files.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import suppress

import langcodes

from continual_mt.errors import LanguageError, MisuseError
from continual_mt.languages import parse_language

DEFAULT = "13a"
"""For languages that separate words by spaces."""
JAPANESE = "ja-mecab"
_MECAB_PACKAGES = ("MeCab", "ipadic")

# The scripts that are written without spaces between words: those that Unicode Standard Annex 14 breaks lines of
# without spaces (classes ID, SA, AK and AS), and Tibetan, whose marks separate syllables.
_HAN = ("Hani", "Hans", "Hant", "Hanb")
_JAPANESE = ("Jpan", "Hrkt", "Hira", "Kana")
_OTHER_SCRIPTS = (
    *("Ahom", "Bali", "Batk", "Bopo", "Bugi", "Cham", "Java", "Kawi", "Khmr", "Kits", "Lana", "Laoo", "Maka", "Marc"),
    *("Mymr", "Nshu", "Phag", "Rjng", "Tale", "Talu", "Tang", "Tavt", "Thai", "Tibt", "Yiii"),
)

# The languages that are usually written in them, by CLDR 47 (likely subtags) and ISO 639-3's members of Chinese. Tags
# are normalized before they are looked up: zho and chi are zh, bod and tib are bo.
_CHINESE = "cdo cjy cmn cnp cpx csp czh czo gan hak hsn ltc luh lzh mnp nan och sjc wuu yue zh"
_USUALLY = {
    "Hani": f"{_CHINESE} hnm how oko swi zch zeh zgb zgm zgn zhd zlj zln zlq zqe zyg zyn zzj",
    "Jpan": "ja ams kzg mvi ojp okn rys ryu tkn xug yoi yox",
    "Thai": "bzi cbn cog kdt khf kjt kxm lcp lwl lwm mkm mlf mpz mra nyl nyw pht phu prt pww skb sou th thm tts ugo "
    "urk yoy",
    "Laoo": "alk brv kjg kuf lbo lo ncq nev ngt oyb pho pnx sct sqq sss tth tto",
    "Khmr": "brb km krr krv okz pcb rka smu tpu xhm xkk",
    "Mymr": "aio blk bwe csh csj dnu dnv hpo int jkp kht kjp ksu ksw kvq kvt kxf kxk mnw mwt my obr omx pce phk pll "
    "pwo pyx rbb rki rmz shn tco tjl tvn yin zkn",
    "Tibt": "adx bfu bkk bo bro cgk cna dka dre dz dzl ght goe jda jya kbg kgy khg kjz kkf lbj lkh luk lya muk neh npb "
    "ole otb sbu sgt sip spt tgf tsj twm xct xkf zau",
    "Yiii": "ii nos nsd nsf nsv nty smh yig yiv ysd ysn ysp",
    "Lana": "cuu kkh nod stu",
    "Tale": "tdd thi",
    "Talu": "khb",
    "Tavt": "blt soa tyr",
    "Ahom": "aho",
    "Bali": "kaw",
    "Batk": "btd btm",
    "Bopo": "hmj hmq",
    "Cham": "cjm",
    "Java": "osi tes",
    "Kits": "zkt",
    "Marc": "xzh",
    "Rjng": "abl",
    "Tang": "txg",
}
_SCRIPT_OF = {language: script for script, languages in _USUALLY.items() for language in languages.split()}

# What tokenizations were before 13a was replaced for further languages. Records of that time mean it.
_EARLIER = {"zh": "zh", "ja": JAPANESE, "th": "char", "lo": "char", "km": "char", "my": "char"}


def bleu_tokenization(language: str) -> str:
    """Return sacreBLEU's tokenization for a target language, given as any of its BCP 47, ISO 639 or NLLB codes.

    A script in the tag decides (``cmn_Hant``, ``zh_Latn``), else the language's usual one. Japanese is ``char`` where
    the packages of ``ja-mecab`` are not installed.
    """
    return next(_fitting(language))


def tokenizations(language: str) -> tuple[str, ...]:
    """Return the tokenizations that fit a target language, the best first; one of them only for lack of a package."""
    return tuple(_fitting(language, installed=False))


def earlier_tokenization(language: str) -> str:
    """Return what development BLEU was tokenized by before `bleu_tokenization` knew all languages without spaces."""
    return _EARLIER.get(language.split("_")[0], DEFAULT)


def check_installed(tokenization: str) -> None:
    """Raise MisuseError if a tokenization's package is missing."""
    if tokenization == JAPANESE and not _has_mecab():
        raise MisuseError(
            f"BLEU with {JAPANESE}: the packages {' and '.join(_MECAB_PACKAGES)} are not installed. "
            "Fix: pip install 'sacrebleu[ja]'"
        )


def _has_mecab() -> bool:
    return all(importlib.util.find_spec(package) for package in _MECAB_PACKAGES)


def _fitting(language: str, *, installed: bool = True) -> Iterator[str]:
    code, script = _code_and_script(language)
    if script in _HAN and (script != "Hani" or code in _CHINESE.split()):
        yield "zh"
    elif script in _JAPANESE and code == "ja":
        if not installed or _has_mecab():
            yield JAPANESE
        yield "char"
    elif script in (*_HAN, *_JAPANESE, *_OTHER_SCRIPTS):
        yield "char"
    else:
        yield DEFAULT


def _code_and_script(language: str) -> tuple[str, str | None]:
    """The language's shortest code, and its script: that of the tag, else the usual one if it is in the table."""
    code, *others = language.replace("-", "_").split("_")
    script = next((part.title() for part in others if len(part) == 4 and part.isalpha()), None)
    with suppress(LanguageError):  # codes such as ja_XX are no tags, but begin with one
        code = parse_language(code)
    with suppress(LanguageError):
        tag = langcodes.Language.get(parse_language(language).replace("_", "-"), normalize=False)
        code, script = tag.language or code, tag.script or script
    return code, script or _SCRIPT_OF.get(code)
