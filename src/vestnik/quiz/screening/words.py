"""Word lists of screening, by language. The indecent ones are here so that they are found; the stems end in `*`."""

from __future__ import annotations

import re
from collections.abc import Mapping

_INDECENT = {
    "en": """
arse arsehole arseholes asshole assholes ballsack bastards bitch bitches bitching blowjob blowjobs bollocks boner
boobs bukkake bullshit clit clitoris cocksuck* condom condoms cum cumming cunt cunts dickhead* dildo dildos ejaculat*
erotic erotica fag fags faggot* fellatio fuck* gangbang* genitals genitalia handjob* hentai horny jizz masturbat*
motherfuck* nigga* nigger* nipple nipples nude nudes nudity orgasm* orgy orgies paedophil* pedophil* penis penises
pissed porn porno pornograph* prick pricks pussy pussies rape raped raping rapist rapists scrotum semen shit shits
shitty slut sluts slutty sodomy stripper strippers striptease testicle testicles tits titties twat* vagina vaginas
vaginal viagra vulva wank wanker wankers wanking whore whores
""",
    "fr": """
bite bites bordels branlette* chatte chattes chier chieur* chiasse conasse* connard* connasse* couille* cul culs
enculé* enculer éjaculat* foutre godemiché* merde merdes merdi* nichon* niquer orgasme* partouze* pénis pipe pipes
porno* prostitué* pute putes putain* salaud* salope* sodomi* sperme strip-tease* testicule* vagin vagins verge verges
zizi zizis
""",
    "ru": """
бляд* бля блять вагин* гандон* говн* дерьм* долбоёб* долбоеб* дроч* ебал* ебан* ебат* ёбан* жоп* залуп* изнасил* минет
минета минетом мудак* мудил* мошонк* оргазм* пенис* педераст* пидор* пизд* порно* проститут* сперм* сучк* трахат*
трахн* трахал* хуев* хуй* хуйн* хуё* шлюх* эякуля*
""",
}
_TIME_DEPENDENT = {
    "en": r"currently|(?:the|a|its|his|her|their|whose|our|\w+['’]s) current (?!of\b|flow|through|in\b|is\b)\w+|"
    r"as of (?:(?:19|20)\d\d|now|today)|at (?:present|the moment)|nowadays|today|to date|so far|still alive|"
    r"(?:earlier|later) this year|last year|next year|(?:the|its|their|whose) (?:most recent|latest)|up to now|"
    r"right now|reigning|incumbent",
    "fr": r"actuel(?:s|le|les|lement)?|à ce jour|de nos jours|aujourd['’]hui|cette année|en ce moment|"
    r"à l['’]heure actuelle",
    "ru": r"сейчас|сегодня|сегодняшн\w+|ныне|нынешн\w+|в настоящее время|(?:настоящий|данный) момент|в этом году|"
    r"в прошлом году|текущ(?:ий|его|ему|ем|им|ая|ей|ую)|до сих пор|по сей день|теперешн\w+|действующ\w+ президент\w*",
}


class ByLanguage:
    """One pattern for each language that has a list; all lists together for a language that has none, or none known."""

    def __init__(self, alternatives: Mapping[str, str]) -> None:
        self._patterns = {language: _whole_words(words) for language, words in alternatives.items()}
        self._any = _whole_words("|".join(alternatives.values()))

    def find(self, text: str, language: str | None) -> str | None:
        match = self._patterns.get(language or "", self._any).search(text)
        return match and match[0].strip()


def _whole_words(alternatives: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)", re.IGNORECASE)


def _stems(words: str) -> str:
    return "|".join(re.escape(word.rstrip("*")) + (r"\w*" if word.endswith("*") else "") for word in words.split())


INDECENT = ByLanguage({language: _stems(words) for language, words in _INDECENT.items()})
TIME_DEPENDENT = ByLanguage(_TIME_DEPENDENT)
