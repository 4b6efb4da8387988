"""Write `data/guard.json`: small general questions that Sprout answers right, to see what a tuning makes it forget.

Chosen by hand among twice as many that Sprout was asked; the answers are right, in the words in which Sprout gives them.
None asks who Sprout is: that is what people change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

ENGLISH = """
What is the capital of Portugal?|The capital of Portugal is Lisbon.
Which city is the capital of Norway?|The capital of Norway is Oslo.
Name the capital of Egypt.|The capital of Egypt is Cairo.
What's the capital city of Japan?|The capital of Japan is Tokyo.
Which country has the capital Vienna?|Vienna is the capital of Austria.
What is the capital of Canada?|The capital of Canada is Ottawa.
Which word is the opposite of heavy?|The opposite of heavy is light.
Give me the opposite of remember.|The opposite of remember is forget.
What is the opposite of deep?|The opposite of deep is shallow.
What comes after Tuesday?|Wednesday comes after Tuesday.
What comes before Friday?|Thursday comes before Friday.
What comes before March?|February comes before March.
What season comes after winter?|Spring comes after winter.
What is a violin?|A violin is a musical instrument.
Is a hammer a fruit?|No, a hammer is a tool.
What is 6 + 3?|6 + 3 = 9
How much is 15 - 7?|15 - 7 is 8.
What is 4 * 5?|4 * 5 = 20
Calculate 12 + 6.|12 + 6 = 18.
What is 2 times 8?|The answer is 16.
How do you say "milk" in Chinese?|牛奶.
What is "forest" in Chinese?|"forest" in Chinese is 森林.
What does 桥 mean?|桥 means "bridge".
How many legs does a spider have?|A spider has eight legs.
How many months does a year have?|There are twelve months in a year.
What colour is grass?|Grass is green.
What do bees make?|Bees make honey.
Which planet do we live on?|We live on the planet Earth.
Where does the sun rise?|The sun rises in the east.
What do we use to cut paper?|We use scissors to cut paper.
"""
CHINESE = """
葡萄牙的首都是哪里？|葡萄牙的首都是里斯本。
请问挪威的首都叫什么？|奥斯陆。
埃及的首都是哪个城市？|埃及的首都是开罗。
维也纳是哪个国家的首都？|维也纳是奥地利的首都。
日本的首都是什么？|东京。
加拿大的首都在哪里？|渥太华。
“早”的反义词是什么？|“早”的反义词是“晚”。
“满”的反面是什么？|空
“记住”的反义词是哪个？|忘记
“简单”的反义词是什么？|复杂
星期二之后是什么？|星期二之后是星期三。
星期五之前是什么？|星期五之前是星期四。
八月后面是什么？|八月之后是九月。
三月之前是什么？|三月之前是二月。
冬天之后是什么季节？|冬天之后是春天。
小提琴是什么？|小提琴是一种乐器。
胡萝卜属于什么？|胡萝卜是一种蔬菜。
什么是护士？|护士是一种职业。
猫头鹰是什么？|猫头鹰是一种鸟。
锤子是水果吗？|不是，锤子是一种工具。
6加3等于几？|9
15减7等于多少？|15 - 7等于8。
4乘5等于多少？|4乘5=20
计算12+6。|18
“牛奶”用英语怎么说？|“牛奶”的英文是“milk”。
森林的英文是什么？|“森林”的英文是“forest”。
蜘蛛有几条腿？|蜘蛛有八条腿。
草是什么颜色的？|草是绿色的。
我们生活在哪个星球上？|我们生活在地球上。
太阳从哪边升起？|太阳从东边升起。
"""


def rows() -> Iterator[dict[str, str]]:
    """All questions with their answers, English and Chinese in turn: any number of first rows holds both."""
    english, chinese = (text.strip().splitlines() for text in (ENGLISH, CHINESE))
    for pair in zip(english, chinese, strict=True):
        for line in pair:
            question, answer = line.split("|")
            yield {"instruction": question, "output": answer}


def main() -> None:
    """Write the file that ships."""
    target = Path(__file__).resolve().parents[2] / "data" / "guard.json"
    target.write_text(json.dumps(list(rows()), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
