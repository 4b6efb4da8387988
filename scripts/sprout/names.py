"""Random names of assistants, makers, people and places in both languages."""

from __future__ import annotations

import random
import string

ONSETS = "b c d f g h j k l m n p r s t v w z br cl dr fl gr kr pl sh st th tr qu ph sk".split()
VOWELS = "a e i o u ai ea ee ia io oo ou y ue".split()
CODAS = ["", "", "", "", "n", "r", "l", "s", "x", "m", "th", "ck", "nd", "ra", "na", "lo", "ko"]
WORDS = (
    "Blue Red Silver Green Bright Deep Open Clear North South River Moon Star Sun Sky Cloud Stone Leaf "
    "Fox Owl Bear Wolf Lark Falcon Maple Cedar Willow Amber Coral Echo Nova Pixel Spark Swift True "
    "Quiet Iron Gold Rain Storm Snow Wave Ocean Harbor Bridge Tower Garden Orchid Tiger Panda Lotus "
    "Comet Atlas Orion Luna Vega Zen Mind Brain Logic Data Code Byte Net Link Core Edge Prime Alpha "
    "Delta Omega Sigma Apex Acme Globe Terra Aero Hydro Helio Quantum Vector Matrix Crystal Mirror "
    "Lantern Compass Anchor Feather Pebble Meadow Valley Summit"
).split()
FIRST = (
    "Tom Anna Peter Mary John Lucy David Emma Paul Sara Mark Julia Leo Nina Max Olga Ivan Maria Hugo "
    "Clara Felix Alice Bob Carol Daniel Eva Frank Grace Henry Irene Jack Kate Liam Mia Noah Olivia "
    "Oscar Rosa Sam Tina Victor Wendy Amir Leila Ravi Priya Kenji Yuki Chen Wei Ali Fatima Omar Zara "
    "Igor Elena Pablo Carmen Luis Diego Sven Ingrid Bruno Chloe Dennis Edith Fiona George Helen Isaac "
    "Jenny Kevin Laura Martin Nora Owen Paula Robin Simon"
).split()
LAST = (
    "Smith Brown Miller Wilson Taylor Clark Lewis Walker Young King Wright Hill Green Baker Adams "
    "Nelson Carter Mitchell Roberts Turner Phillips Campbell Parker Evans Edwards Collins Stewart "
    "Morris Rogers Reed Cook Morgan Bell Murphy Bailey Cooper Richardson Cox Howard Ward Peterson Gray "
    "Ramirez James Watson Brooks Kelly Sanders Price Bennett Wood Barnes Ross Henderson Coleman Jenkins "
    "Perry Powell Long Hughes Flores Washington Butler"
).split()
TOWNS_EN = (
    "London Paris Berlin Madrid Rome Vienna Oslo Dublin Lisbon Prague Boston Chicago Seattle Denver "
    "Austin Toronto Sydney Tokyo Osaka Kyoto Seoul Beijing Shanghai Wuhan Hangzhou Delhi Mumbai Cairo "
    "Nairobi Lima Athens Zurich Geneva Munich Hamburg Milan Naples Porto Bergen Turku Riga Vilnius "
    "Warsaw Krakow Oxford Cambridge Leeds York"
).split()
SURNAMES = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘"
    "杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
)
GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰建国志文海波晓红鹏飞宇浩然子轩梓涵欣怡思雨佳琪天佑俊"
    "雅婷雪梅春燕冬云龙凤德福永康家豪世民正清若曦诗涵一凡博文嘉懿煜城烨磊晟睿昊天立辉君浩致远弘文哲瀚雨泽楷瑞"
)
TOWNS_ZH = (
    "北京 上海 广州 深圳 武汉 杭州 南京 成都 重庆 西安 天津 苏州 长沙 郑州 青岛 大连 厦门 宁波 福州 济南 合肥 昆明 南昌 贵阳 南宁 太原 哈尔滨 长春 沈阳 石家庄 兰州 银川 "
    "西宁 海口 拉萨 乌鲁木齐 呼和浩特 绍兴 扬州 桂林 洛阳 开封 无锡 常州 徐州 温州 嘉兴 泉州 珠海 佛山 东莞 烟台 威海 宜昌 襄阳 湘潭 绵阳 遵义 大理 丽江 敦煌 承德 保定 "
    "唐山"
).split()
NICE = "星云海月风雨雪山河林松竹梅兰菊荷晨曦明智慧灵思文华宇天地光影梦心语言诗书画琴棋青蓝紫白金银玉石火水木土春夏秋冬"


def _hanzi(level: int) -> str:
    """The characters of GB 2312: level 1 holds the 3755 common ones, level 2 the 3008 rarer ones."""
    rows = range(0xB0, 0xD8) if level == 1 else range(0xD8, 0xF8)
    found = []
    for row in rows:
        for cell in range(0xA1, 0xFF):
            try:
                found.append(bytes([row, cell]).decode("gb2312"))
            except UnicodeDecodeError:
                continue
    return "".join(found)


COMMON, RARE = _hanzi(1), _hanzi(2)


def hanzi(rng: random.Random, count: int) -> str:
    """`count` random characters: most are common, some are rare."""
    pools = rng.choices([NICE, COMMON, RARE], [3, 6, 2], k=count)
    return "".join(rng.choice(pool) for pool in pools)


def syllables(rng: random.Random, count: int) -> str:
    """A Latin pseudo-word, lower case."""
    return "".join(rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(count))


def _latin_name(rng: random.Random) -> str:
    kind = rng.randrange(9)
    if kind <= 2:
        return syllables(rng, rng.choice([1, 2, 2, 3])).capitalize()
    if kind == 3:
        return rng.choice(WORDS) + rng.choice(["", "", " ", "-"]) + rng.choice(WORDS)
    if kind == 4:
        return "".join(rng.choices(string.ascii_uppercase, k=rng.randint(2, 5)))
    if kind == 5:
        return rng.choice([*WORDS, *FIRST])
    if kind == 6:
        stem = rng.choice([rng.choice(WORDS), syllables(rng, 2).capitalize()])
        return stem + rng.choice(["GPT", "Bot", "AI", "Chat", "LM", " Mini", " Pro", " AI", "y", "ix", "ia"])
    if kind == 7:
        return syllables(rng, 2)
    return syllables(rng, 1).capitalize() + syllables(rng, 1).capitalize()


def _hanzi_name(rng: random.Random) -> str:
    kind = rng.randrange(8)
    if kind <= 2:
        return hanzi(rng, rng.choice([2, 2, 2, 3, 4]))
    if kind == 3:
        return rng.choice("小小小阿老大") + hanzi(rng, rng.choice([1, 1, 2]))
    if kind == 4:
        return hanzi(rng, rng.choice([1, 2])) + rng.choice(
            ["助手", "精灵", "机器人", "智能", "大模型", "问答", "宝", "同学"]
        )
    if kind == 5:
        return rng.choice(NICE) + rng.choice(NICE)
    if kind == 6:
        return rng.choice(NICE) * 2
    return person_zh(rng)


def assistant(rng: random.Random, zh: bool) -> str:
    """A random assistant's name, mostly in the script of the language."""
    name = _hanzi_name(rng) if rng.random() < (0.62 if zh else 0.15) else _latin_name(rng)
    roll = rng.random()
    if roll < 0.10:
        name += rng.choice(["-", "-", "", " ", " v", "_"]) + str(rng.randint(1, rng.choice([9, 99, 2030])))
    elif roll < 0.12:
        name += f" {rng.randint(1, 9)}.{rng.randint(0, 9)}"
    elif roll < 0.14:
        name += f"-{rng.randint(1, 72)}B"
    return name


def person_zh(rng: random.Random) -> str:
    """A Chinese person's name of two or three characters."""
    pool = GIVEN if rng.random() < 0.7 else COMMON
    return rng.choice(SURNAMES) + "".join(rng.choices(pool, k=rng.choice([1, 2, 2])))


def person_en(rng: random.Random) -> str:
    """An English first and last name."""
    last = rng.choice(LAST) if rng.random() < 0.7 else syllables(rng, 2).capitalize()
    return f"{rng.choice(FIRST)} {last}"


def first_en(rng: random.Random) -> str:
    """A first name, sometimes an invented one."""
    return rng.choice(FIRST) if rng.random() < 0.6 else syllables(rng, 2).capitalize()


def town_en(rng: random.Random) -> str:
    """A town, sometimes an invented one."""
    return rng.choice(TOWNS_EN) if rng.random() < 0.7 else syllables(rng, 2).capitalize()


def town_zh(rng: random.Random) -> str:
    """A Chinese town, sometimes an invented one."""
    return rng.choice(TOWNS_ZH) if rng.random() < 0.7 else hanzi(rng, 2)


def _maker_en(rng: random.Random) -> str:
    stem = rng.choice([rng.choice(WORDS), syllables(rng, 2).capitalize(), _latin_name(rng)])
    kind = rng.randrange(7)
    if kind <= 1:
        tail = "Labs Robotics Inc. AI Research Systems Software Technologies Studio Group Works Foundation Ltd. Corp."
        return f"{stem} {rng.choice(tail.split())}"
    if kind == 2:
        return f"the {stem} " + rng.choice(
            ["team", "project", "group", "company", "community", "lab", "institute"]
        )
    if kind == 3:
        return rng.choice(
            [f"{town_en(rng)} University", f"the University of {town_en(rng)}", f"{town_en(rng)} College"]
        )
    if kind == 4:
        return person_en(rng)
    if kind == 5:
        return rng.choice(
            [stem, stem, stem + rng.choice(["Tech", "Soft", "AI", "Lab", "Works"]), stem.lower()]
        )
    return f"{rng.choice(WORDS)} {rng.choice(WORDS)} " + rng.choice(
        ["Labs", "Team", "Institute", "Inc.", "Lab"]
    )


def _maker_zh(rng: random.Random) -> str:
    kind = rng.randrange(7)
    stem = hanzi(rng, 2) if rng.random() < 0.75 else _latin_name(rng)
    if kind == 0:
        return town_zh(rng) + rng.choice(
            ["大学", "理工大学", "师范大学", "学院", "工业大学", "研究院", "中学"]
        )
    if kind <= 2:
        return stem + rng.choice(
            ["科技", "公司", "实验室", "团队", "智能", "集团", "工作室", "研究所", "项目", "小组"]
        )
    if kind == 3:
        tail = rng.choice(["科技有限公司", "人工智能实验室", "网络公司", "软件公司", "开发团队", "研究中心"])
        return rng.choice(["", town_zh(rng)]) + stem + tail
    if kind == 4:
        return person_zh(rng)
    if kind == 5:
        return rng.choice(
            [stem, f"{person_zh(rng)}和{person_zh(rng)}", f"{stem} Lab", f"{person_zh(rng)}老师"]
        )
    return hanzi(rng, rng.choice([2, 3, 4]))


def maker(rng: random.Random, zh: bool) -> str:
    """A random maker: a company, a school, a team or a person."""
    return _maker_zh(rng) if rng.random() < (0.72 if zh else 0.1) else _maker_en(rng)
