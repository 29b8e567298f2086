"""Names: kept as NFKC, without invisible characters; no two that look alike, and none that means the server."""

# ruff: noqa: RUF001 - the names are ambiguous on purpose

import pytest

from chatio.accounts import names
from chatio.accounts.passwords import PasswordHasher
from chatio.accounts.users import UserRegistry
from chatio.errors import NameTaken
from chatio.stores.memory.accounts import MemoryUserStore

PASSWORD = "correct horse"


def fault_of(name: str) -> str | None:
    try:
        names.cleaned(name)
    except ValueError as fault:
        return str(fault)
    return None


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        *(
            ("Ａｎｎ", "Ann"),
            ("ﬁona", "fiona"),
            ("𝔸𝕟𝕟", "Ann"),
            ("Cafe\u0301", "Café"),
            ("①", "1"),
            ("\u212bsa", "Åsa"),
        ),
        *(("Ann\u00a0Lee", "Ann Lee"), ("Ann \u3000 Lee", "Ann Lee"), ("\u3000Ann\u00a0", "Ann")),
        *(("O´Brien", "O´Brien"), ("O'Brien", "O'Brien"), ("Zoë", "Zoë")),
        *(("A\ufe0fnn", "Ann"), ("ℹ\ufe0f Ann", "i Ann")),  # a selector that selects nothing
        ("ﷺ", "صلى الله عليه وسلم"),
    ],
)
def test_a_name_is_kept_in_the_form_nfkc(written: str, kept: str) -> None:
    assert names.cleaned(written) == kept


@pytest.mark.parametrize(
    "name",
    [
        *("Ann", "Ann ❤️", "❤", "1️⃣", "👩\u200d💻", "👩🏽\u200d💻", "👨\u200d👩\u200d👧", "🏳️\u200d🌈", "🇩🇪"),
        *("علی\u200cرضا", "रोहित क्\u200dष", "עדה", "黄さん", "한글", "Иван", "Νίκος", "ꮯꮃꭹ"),
        *("Nguyễn Thị Hồng", "ẹ\u0301", "ရှင်မြို့", "བསྒྲུབས", "בְּרֵאשִׁית", "مُحَمَّدٌ", "กี่", "ព្រះ", "ᾂ"),
        *(
            "\U0001fae9",
            "Ann \U0001faff",
            "\u0378",
            "\U0003fffd",
        ),  # newer than this Python's Unicode, or unassigned
        *(
            "Ally",
            "Administer",
            "Serverin",
            "Mei",
            "Me Too",
            "Youssef",
            "Systematic",
            "Adminah",
            "Boot",
            "Bo T",
            "Ann's Bot",
            "Robot",
            "Will Staff",
            "42",
            "Herefor",
        ),
    ],
)
def test_a_name_that_people_have_is_kept_as_it_is(name: str) -> None:
    assert names.cleaned(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("A\u200bnn", "A\u200cnn", "A\u200dnn", "Ann\u2060", "A\u00adnn", "\ufeffAnn", "A\u034fnn", "A\u180enn"),
        *("A\u3164nn", "A\u115fnn", "A\uffa0nn", "A\u2800nn", "A\ufff9nn", "A\U000e0041nn", "A\U000e0100nn"),
        *("A\U0001d159nn", "A\u206ann", "❤\u200dAnn", "❤\u200d", "A\U000e0fffnn", "\u200b😀"),
    ],
)
def test_a_name_with_an_invisible_character_is_refused(name: str) -> None:
    assert fault_of(name) == names.INVISIBLE


@pytest.mark.parametrize(
    "name",
    [
        *("A\x00nn", "A\nnn", "A\tnn", "A\x1bnn", "A\x7fnn", "A\x85nn", "A\u2028nn", "A\u2029nn", "A\ud83dnn"),
        *("A\u202enn", "A\u2066nn", "A\u200enn", "A\u200fnn", "A\u061cnn", "A\uffffnn", "A\ufdd0nn"),
        *("A\ue000nn", "\uf8ff", "A\U000f0000nn", "A\U0010ffffnn", "A\U0001fffenn", "A\U0002ffffnn"),
    ],
)
def test_a_name_with_a_control_character_is_refused(name: str) -> None:
    assert fault_of(name) == names.CONTROL


@pytest.mark.parametrize(
    "name",
    [
        "Z\u0335\u0322\u0321algo",
        "Ann" + "\u0301\u0308\u0332" * 9,
        "A\u0301\u0301nn",
        "å\u030a",
        "ก\u0e49\u0e49",
        "a\u20dd\u20de\u20df",
        "\u0301Ann",
        "\u0489a",
        "\u0e33\u0e33",
    ],
)
def test_a_name_with_a_heap_of_marks_is_refused(name: str) -> None:
    assert fault_of(name) == names.MARKS


@pytest.mark.parametrize(
    "name", ["A1ש", "Aש>1", "1דוד", "7 علی", "דוד David", "David דוד", "علی Ali", "דוד١ 1", "(1) דוד", "א1ב١"]
)
def test_a_name_that_another_one_may_be_drawn_as_in_two_directions_is_refused(name: str) -> None:
    assert fault_of(name) == names.DIRECTIONS


@pytest.mark.parametrize(
    "name", ["דוד", "דוד 1", "דוד בן-גוריון", "🙂 דוד 🙂", "(דוד)", "علی‌رضا", "علي ١", "ג'ורג'", "A 1", "1 🙂"]
)
def test_a_name_in_one_direction_is_kept(name: str) -> None:
    assert names.cleaned(name) == name


@pytest.mark.parametrize(
    "name", ["\u3164", "\u2800\u2800", "\u200b\u2060", "\u0301", "\u0301\u0308", "\U0001d159", "\U00013441"]
)
def test_a_name_that_shows_nothing_is_refused(name: str) -> None:
    assert fault_of(name) == names.NOTHING


@pytest.mark.parametrize("name", ["", " ", "\u3000", "x" * 65, "ﷺ" * 4, "e\u0301" * 65, "x" * 100_000, "\ufe0f"])
def test_a_name_of_another_length_is_refused(name: str) -> None:
    assert fault_of(name) == names.TOO_LONG


def test_the_length_of_a_name_is_that_of_its_kept_form() -> None:
    assert names.cleaned("e\u0301" * 64) == "é" * 64


@pytest.mark.parametrize(
    "name",
    [
        *(
            "System",
            "SYSTEM",
            "system",
            "Admin",
            "admin",
            "ADMIN",
            "Administrator",
            "Moderator",
            "mod",
            "You",
            "Me",
        ),
        *("Server", "Support", "Everyone", "Here", "root", "Chat.io", "chatio", "ChatIO", "Staff", "Mods"),
        *(
            "Аdmin",
            "Αdmin",
            "ΑDΜΙΝ",
            "Ａdmin",
            "Adm1n",
            "ADM1N",
            "adrnin",
            "AdmIn",
            "ѕуѕtem",
            "Ѕystem",
            "m0derator",
        ),
        *("r00t", "R00T", "[System]", "-System-", "System:", "~ admin ~", "S y s t e m", "Sys.tem", "the Admin"),
        *("Chat.io Support", "Admin Team", "System Admin", "@everyone", "#here", "ａｄｍｉｎ", "ⓐdmin"),
        *("Bot", "bot 7", "B o t", "BOTS", "Notice", "Server Notice", "Official Announcement", "no-reply", "Info"),
        *("Moderator Ann", "Ann (Admin)", "Ann Support", "Ann [official]", "Help", "Verified ✓"),
        *(
            "Администратор",
            "АДМИН",
            "Админ Аня",
            "管理员",
            "システム",
            "관리자",
            "Système",
            "Sistema",
            "Ádmin",
            "Suppört",
        ),
        *("Chati0", "Inf0", "SuperAdmin", "Beheerder", "Yönetici", "Διαχειριστής", "版主", "Guest", "None"),
        *("Admin.", "Admin 2", "System42", "Support Bot", "_root_", "ꓢystem", "Supp0rt", "Yοu", "уou"),
        *("🅰🅳🅼🅸🅽", "🅰dmin", "🅢🅨🅢🅣🅔🅜", "🇦🇩🇲🇮🇳", "4dmin", "@dmin", "$y$tem", "5ystem", "Adm!n", "$taff", "H3re"),
    ],
)
def test_a_name_that_means_the_server_is_refused(name: str) -> None:
    assert fault_of(name) == names.RESERVED


@pytest.mark.parametrize(
    "name",
    [
        *("Ann [mod]", "Ann (verified)", "[Admin] Ann", "Ann | staff", "Ann / Mods", "★ staff ★ Ann", "Ann - mod"),
        *(
            "Ann-mod",
            "Ann_mod",
            "Ann.mod",
            "mod: Ann",
            "Ann, owner",
            "Ann (the owner)",
            "Ann · Chat Staff",
            "Ann«mod»",
        ),
        *(
            "Ann [m o d]",
            "Ann [MOD]",
            "Ann [mod2]",
            "Ann [m0d]",
            "Ann (ⓢⓣⓐⓕⓕ)",
            "Ann [$taff]",
            "Ann 【mod】",
            "Ann ✨mod✨",
        ),
        *("Verified Ann", "Ann verified", "Ann (vérifié)", "Аня (модер)", "Ann（运营，已认证）", "Ann [оwner]"),
    ],
)
def test_a_name_with_a_claim_beside_it_is_refused(name: str) -> None:
    assert fault_of(name) == names.RESERVED


@pytest.mark.parametrize("name", ["Ann ✓", "✔ Ann", "Ann ✔\ufe0f", "Ann ☑", "Ann ✅", "Ann √", "Ann 🗸", "A✓n"])
def test_a_name_with_a_check_mark_is_refused(name: str) -> None:
    assert fault_of(name) == names.CHECKED


@pytest.mark.parametrize(
    "name", ["Ann ﷽", "\U00012031", "Ann \U0001242b", "⸻", "Ann ⸺", "꧅Ann", "௵", "𓀀", "Ann ﷿"]
)
def test_a_name_with_a_sign_that_is_much_wider_than_a_letter_is_refused(name: str) -> None:
    assert fault_of(name) == names.WIDE


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Mod Kumar",
            "Modesta",
            "Admira",
            "José (he/him)",
            "Ann-Marie O'Neil",
            "Will Staff",
            "O'Mod",
            "Ann's Mods",
        ),
        *(
            "Ann (Berlin)",
            "Ann | Python",
            "J. R. R. Tolkien",
            "Ann (guest)",
            "Weather (bot)",
            "Ann — she/her",
            "Stafford",
        ),
        *(
            "محمد علي",
            "अनिल कुमार",
            "सुनीता",
            "สมชาย ใจดี",
            "王小明",
            "佐藤 花子",
            "김민수",
            "ஔவையார்",
            "ဪ",
            "Ann — Lee",
        ),
        *("𞤀𞤣𞤤𞤢𞤥", "𑄌𑄋𑄴𑄟𑄳𑄦", "Ann 🚀", "Ann ★", "Devi", "Owen", "डॉ॰ कुमार", "ジョン・スミス"),
    ],
)
def test_a_name_that_claims_nothing_is_kept(name: str) -> None:
    assert names.cleaned(name) == name


ALIKE = (
    *(
        ("Ann", "Ann"),
        ("Ann", "ann"),
        ("Ann", "ANN"),
        ("Ann", "Аnn"),
        ("Ann", "Αnn"),
        ("Ann", "Ａnn"),
        ("Ann", "𝐀nn"),
    ),
    *(("Ann Lee", "Ann\u00a0Lee"), ("Ann Lee", "Ann  Lee"), ("Bob", "B0b"), ("Bob", "Вob"), ("Bob", "ВОВ")),
    *(
        ("Ivan", "lvan"),
        ("Ivan", "1van"),
        ("Ivan", "IVAN"),
        ("Ivan", "İvan"),
        ("ivan", "i\u0307van"),
        ("Al", "AI"),
    ),
    *(("Вова", "вова"), ("Νίκος", "ΝΊΚΟΣ"), ("Νίκος", "νίκος"), ("Нина", "нина"), ("Нина", "НИНА")),
    *(
        ("modern", "modem"),
        ("Will", "WiII"),
        ("O'Brien", "O’Brien"),
        ("O'Brien", "O´Brien"),
        ("O'Brien", "O`Brien"),
    ),
    *(("Straße", "STRASSE"), ("José", "Jose\u0301"), ("ада", "aда"), ("scope", "ѕсоре")),
    *(
        ("❤", "❤\ufe0f"),
        ("علی\u200cرضا", "علیرضا"),
        ("victor", "νictor"),
        ("Ann-Lee", "Ann‐Lee"),
        ("paypal", "раураl"),
    ),
)


@pytest.mark.parametrize(("one", "other"), ALIKE)
async def test_a_second_user_with_a_name_that_looks_alike_is_refused(
    hasher: PasswordHasher, one: str, other: str
) -> None:
    for first, second in ((one, other), (other, one)):
        registry = UserRegistry(MemoryUserStore(), hasher)
        await registry.register(first, "ada@chat.test", PASSWORD)
        with pytest.raises(NameTaken):
            await registry.register(second, "eve@chat.test", PASSWORD)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("Ann", "Anna"), ("Ana", "Ava"), ("Lila", "Ilia"), ("Ann", "Ann 2"), ("Guy", "Gyy"), ("José", "Jose")),
        *(("Ann Lee", "AnnLee"), ("Vova", "Вова"), ("Nina", "Нина"), ("Nina", "Vina"), ("黄", "王")),
        *(("Ann", "Ann ❤️"), ("👩\u200d💻", "👨\u200d💻"), ("עדה", "עדי"), ("Oleg", "Oieg")),
    ],
)
async def test_names_that_a_reader_tells_apart_are_two(hasher: PasswordHasher, one: str, other: str) -> None:
    registry = UserRegistry(MemoryUserStore(), hasher)
    await registry.register(one, "ada@chat.test", PASSWORD)
    await registry.register(other, "eve@chat.test", PASSWORD)


async def test_the_name_of_a_removed_user_is_free(hasher: PasswordHasher) -> None:
    registry = UserRegistry(MemoryUserStore(), hasher)
    await registry.remove(await registry.register("Ann", "ada@chat.test", PASSWORD))
    await registry.register("ann", "eve@chat.test", PASSWORD)
