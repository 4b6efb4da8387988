"""Write `data/ner_demo.json`: Chinese sentences and their subject-predicate-object triples."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from spin import spin

INSTRUCTION = "抽取句子中的三元组，用 JSON 列表输出。"
FAMILIES = "赵钱孙李周吴郑王冯陈蒋沈韩杨朱秦许何吕张孔曹严华金魏陶姜谢邹苏潘葛范彭鲁韦马苗方任袁柳史唐薛雷贺罗毕郝安常"
GIVEN = (
    "建国 志强 晓梅 文静 丽华 雨桐 子涵 明轩 海燕 国栋 秀英 春生 思远 雪莲 永康 佳怡 鹏程 小龙 云飞 婉清 振华 玉兰 立群 大伟 梦琪 家豪 "
    "天宇 若兰 少华 德明 红霞 浩然 诗雨 伯安 欣悦 东升 敏 涛 倩 磊 芳 毅 洁 刚 莹 峰 璐 勇"
).split()
TOWNS = (
    "北京 上海 广州 深圳 武汉 杭州 南京 成都 重庆 西安 天津 苏州 长沙 郑州 青岛 大连 厦门 宁波 福州 济南 合肥 昆明 南昌 贵阳 太原 哈尔滨 长春 沈阳 "
    "兰州 绍兴 扬州 桂林 洛阳 无锡 温州 泉州 珠海 烟台 宜昌 襄阳"
).split()
SCHOOLS = "大学 师范大学 理工大学 医学院 音乐学院 美术学院 外国语学院 农业大学 电影学院 体育学院".split()
STEMS = "星河 蓝海 东方 华山 绿洲 金桥 长江 明月 晨光 天马 红枫 远航 新城 白云 银杏 青竹 北辰 海棠 飞鸟 春风 云帆 泰和 启明 百川".split()
BODIES = "科技公司 出版社 乐团 医院 食品厂 汽车公司 基金会 电视台 设计院 书店 剧院 足球俱乐部".split()
TITLE_HEADS = "春天 大河 故乡 北方 星空 雪夜 黄昏 老街 远山 海岸 少年 灯塔 麦田 秋水 晨雾 石桥 旧梦 长路 归途 夏日 竹林 月光 小城 草原".split()
TITLE_TAILS = "之歌 往事 日记 的秘密 来信 纪事 的尽头 物语 的孩子 奇遇 之恋 的钟声".split()
JOBS = "作家 演员 歌手 画家 医生 教授 工程师 诗人 记者 律师 建筑师 飞行员".split()

# predicate, kinds of subject and object, sentences
FACTS: list[tuple[str, str, str, list[str]]] = [
    ("出生地", "p", "t", ["<p>出生于<t>。", "<p>出生在<t>。", "<p>的出生地是<t>。", "<p>生于<t>。"]),
    ("毕业院校", "p", "s", ["<p>毕业于<s>。", "<p>从<s>毕业。", "<p>的毕业院校是<s>。", "<p>的母校是<s>。"]),
    ("职业", "p", "j", ["<p>是一名<j>。", "<p>的职业是<j>。", "<p>是一位<j>。"]),
    (
        "作者",
        "w",
        "p",
        ["《<w>》的作者是<p>。", "《<w>》是<p>写的小说。", "<p>写了《<w>》。", "<p>创作了《<w>》。"],
    ),
    ("导演", "w", "p", ["电影《<w>》由<p>执导。", "《<w>》的导演是<p>。", "<p>导演了电影《<w>》。"]),
    ("主演", "w", "p", ["《<w>》由<p>主演。", "<p>主演了《<w>》。", "《<w>》的主演是<p>。"]),
    ("歌手", "w", "p", ["歌曲《<w>》由<p>演唱。", "<p>演唱了歌曲《<w>》。", "《<w>》的歌手是<p>。"]),
    ("创始人", "o", "p", ["<o>的创始人是<p>。", "<p>创办了<o>。", "<p>创立了<o>。", "<o>由<p>创办。"]),
    ("工作单位", "p", "o", ["<p>在<o>工作。", "<p>就职于<o>。", "<p>任职于<o>。"]),
    ("总部地点", "o", "t", ["<o>的总部位于<t>。", "<o>的总部设在<t>。", "<o>总部在<t>。"]),
    ("丈夫", "p", "q", ["<p>的丈夫是<q>。", "<q>是<p>的丈夫。"]),
    ("父亲", "p", "q", ["<p>的父亲是<q>。", "<q>是<p>的父亲。"]),
]


def _fill(rng: random.Random, kind: str) -> str:
    if kind in "pq":
        return rng.choice(FAMILIES) + rng.choice(GIVEN)
    if kind == "t":
        return rng.choice(TOWNS)
    if kind == "s":
        return rng.choice(TOWNS) + rng.choice(SCHOOLS)
    if kind == "o":
        return rng.choice([rng.choice(TOWNS), ""]) + rng.choice(STEMS) + rng.choice(BODIES)
    if kind == "j":
        return rng.choice(JOBS)
    return rng.choice(TITLE_HEADS) + rng.choice(TITLE_TAILS)


def row(rng: random.Random) -> dict[str, str]:
    """One sentence with one triple or two."""
    parts: list[str] = []
    triples: list[dict[str, str]] = []
    person = ""
    for _ in range(rng.choice([1, 1, 1, 2])):
        predicate, subject, target, patterns = rng.choice(FACTS)
        slots = {subject: _fill(rng, subject), target: _fill(rng, target)}
        if subject == "p":
            if person and rng.random() < 0.5:
                slots["p"] = person
            person = slots["p"]
        parts.append(spin(rng, rng.choice(patterns), **slots).rstrip("。"))
        triples.append({"subject": slots[subject], "predicate": predicate, "object": slots[target]})
    return {
        "instruction": INSTRUCTION,
        "input": "，".join(parts) + "。",
        "output": json.dumps(triples, ensure_ascii=False),
    }


def rows(count: int, seed: int) -> Iterator[dict[str, str]]:
    """`count` rows whose sentences all differ."""
    rng = random.Random(seed)
    seen: set[str] = set()
    while len(seen) < count:
        made = row(rng)
        if made["input"] not in seen:
            seen.add(made["input"])
            yield made


def main() -> None:
    """Write the file that ships."""
    target = Path(__file__).resolve().parents[2] / "data" / "ner_demo.json"
    text = json.dumps(list(rows(480, 11)), ensure_ascii=False, indent=2)
    target.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
