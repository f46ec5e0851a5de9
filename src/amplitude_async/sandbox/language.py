"""Language names: Amplitude stores "Norwegian" when an event says ``nb`` or ``NO``.

The two-letter codes and regional tags of the table at https://amplitude.com/docs/apis/analytics/http-v2; anything
else stays as it was sent.
"""

from __future__ import annotations

_TWO_LETTERS = """
aa Afar; ab Abkhazian; ae Avestan; af Afrikaans; ak Akan; am Amharic; an Aragonese; ar Arabic; as Assamese;
av Avaric; ay Aymara; az Azerbaijani; ba Bashkir; be Belarusian; bg Bulgarian; bi Bislama; bm Bambara;
bn Bengali; bo Tibetan; br Breton; bs Bosnian; ca Catalan; ce Chechen; ch Chamorro; co Corsican; cr Cree;
cs Czech; cu Church Slavic; cv Chuvash; cy Welsh; da Danish; de German; dv Divehi; dz Dzongkha; ee Ewe;
el Greek; en English; eo Esperanto; es Spanish; et Estonian; eu Basque; fa Persian; ff Fulah; fi Finnish;
fj Fijian; fo Faroese; fr French; fy Western Frisian; ga Ga; gd Scottish Gaelic; gl Galician; gn Guarani;
gu Gujarati; gv Manx; ha Hausa; he Hebrew; hi Hindi; ho Hiri Motu; hr Croatian; ht Haitian; hu Hungarian;
hy Armenian; hz Herero; ia Interlingua; id Indonesian; ie Interlingue; ig Igbo; ii Sichuan Yi; ik Inupiaq;
io Ido; is Icelandic; it Italian; iu Inuktitut; ja Japanese; jv Javanese; ka Georgian; kg Kongo; ki Kikuyu;
kj Kuanyama; kk Kazakh; kl Kalaallisut; km Khmer; kn Kannada; ko Korean; kr Kanuri; ks Kashmiri;
ku Kurdish; kv Komi; kw Cornish; ky Kyrgyz; la Latin; lb Luxembourgish; lg Ganda; li Limburgish;
ln Lingala; lo Lao; lt Lithuanian; lu Luba-Katanga; lv Latvian; mg Malagasy; mh Marshallese; mi Maori;
mk Macedonian; ml Malayalam; mn Mongolian; mr Marathi; ms Malay; mt Maltese; my Burmese; na Nauru;
nb Norwegian; nd North Ndebele; ne Nepali; ng Ndonga; nl Dutch; nn Norwegian; no Norwegian;
nr South Ndebele; nv Navajo; ny Nyanja; oc Occitan; oj Ojibwa; om Oromo; or Oriya; os Ossetic; pa Punjabi;
pi Pali; pl Polish; ps Pashto; pt Portuguese; qu Quechua; rm Romansh; rn Rundi; ro Romanian; ru Russian;
rw Kinyarwanda; sa Sanskrit; sc Sardinian; sd Sindhi; se Northern Sami; sg Sango; sh Serbo-Croatian;
si Sinhala; sk Slovak; sl Slovenian; sm Samoan; sn Shona; so Somali; sq Albanian; sr Serbian; ss Swati;
st Southern Sotho; su Sundanese; sv Swedish; sw Swahili; ta Tamil; te Telugu; tg Tajik; th Thai;
ti Tigrinya; tk Turkmen; tl Tagalog; tn Tswana; to Tongan; tr Turkish; ts Tsonga; tt Tatar; tw Twi;
ty Tahitian; ug Uyghur; uk Ukrainian; ur Urdu; uz Uzbek; ve Venda; vi Vietnamese; vo Volapük; wa Walloon;
wo Wolof; xh Xhosa; yi Yiddish; yo Yoruba; za Zhuang; zh Chinese; zu Zulu;
"""

_REGIONS = """
ar-001 Arabic; ar_eg Arabic; ca_es Catalan; de-at German; de-ch German; de_de German; el_gr Greek;
en-au English; en-ca English; en-gb English; en-us English; en_gb English; en_ie English; en_us English;
es-419 Spanish; es-es Spanish; es-mx Spanish; es_es Spanish; fa_ir Persian; fr-ca French; fr-ch French;
fr_ca French; fr_fr French; in_id Indonesian; it_it Italian; iw_il Hebrew; my-rmm Burmese; nl-be Flemish;
nl_nl Dutch; pl_pl Polish; pt-br Portuguese; pt-pt Portuguese; pt_br Portuguese; pt_pt Portuguese;
ro-md Moldavian; ru_ru Russian; th_th Thai; vi_vn Vietnamese; zh-hans Chinese; zh-hant Chinese;
zh_cn Chinese;
"""


def _table(text: str) -> dict[str, str]:
    pairs = (entry.split(maxsplit=1) for entry in text.split(";") if entry.strip())
    return {pair[0]: pair[1].strip() for pair in pairs}


_NAMES = _table(_TWO_LETTERS) | _table(_REGIONS)


def language_name(sent: str) -> str:
    """Return the English name of a language code, in any case, or the text itself when it is no known code."""
    return _NAMES.get(sent.strip().lower(), sent)
