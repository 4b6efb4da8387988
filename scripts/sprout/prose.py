"""Short descriptions and little stories, as answers and as plain text."""

from __future__ import annotations

import random

import names
import words
from spin import Chat, spin, turn

# English name | Chinese name | English sentences | Chinese sentences
THINGS = [
    [part.split(";") for part in line.split("|")]
    for line in """
cat|猫|A cat is a small animal that many people keep at home;It likes to sleep in warm places;It can catch mice;Its fur is soft|猫是很多人养在家里的小动物;它喜欢在暖和的地方睡觉;它会捉老鼠;它的毛很软
dog|狗|A dog is a loyal animal;It guards the house;It likes to run and play;It can smell very well|狗是忠诚的动物;它会看家;它喜欢奔跑和玩耍;它的鼻子很灵
panda|熊猫|The panda is a black and white bear from China;It eats bamboo;It likes quiet forests;Many people love it|熊猫是中国的黑白相间的熊;它爱吃竹子;它喜欢安静的森林;很多人喜爱它
elephant|大象|The elephant is the largest animal on land;It has a long nose;It drinks a lot of water;It has a good memory|大象是陆地上最大的动物;它有长长的鼻子;它喝很多水;它的记性很好
tiger|老虎|The tiger is a strong cat with stripes;It lives in forests;It hunts at night|老虎是身上有条纹的猛兽;它住在森林里;它在夜里捕食
horse|马|A horse is a fast animal;People ride it;It eats grass and hay|马是跑得很快的动物;人们骑马;它吃草
bird|鸟|A bird has feathers and wings;Most birds can fly;Birds build nests and lay eggs|鸟有羽毛和翅膀;大多数鸟会飞;鸟会筑巢和下蛋
fish|鱼|Fish live in water;They breathe with gills;They swim with their fins|鱼生活在水里;它们用鳃呼吸;它们用鳍游泳
bee|蜜蜂|A bee is a small insect;It flies from flower to flower;It makes honey|蜜蜂是一种小昆虫;它在花间飞来飞去;它酿造蜂蜜
apple|苹果|An apple is a round fruit;It can be red, green or yellow;It tastes sweet and a little sour;It is good for your health|苹果是圆圆的水果;它有红色、绿色和黄色的;它又甜又有点酸;它对身体有好处
banana|香蕉|A banana is a long yellow fruit;It is soft and sweet;It grows in warm countries|香蕉是长长的黄色水果;它又软又甜;它长在温暖的地方
watermelon|西瓜|A watermelon is big and green;Inside it is red and juicy;People like it in summer|西瓜又大又绿;里面红红的，水分很多;人们夏天爱吃西瓜
rice|米饭|Rice is the main food of many people in Asia;It grows in wet fields;It is cooked in water|米饭是很多亚洲人的主食;稻子长在水田里;米要用水煮
tea|茶|Tea is a drink made from leaves;People drink it hot;It comes from China|茶是用叶子泡的饮料;人们喜欢喝热茶;茶起源于中国
water|水|Water is clear and has no taste;All living things need it;It falls as rain and flows in rivers|水是透明的，没有味道;所有生物都需要水;水变成雨落下来，在河里流动
bread|面包|Bread is baked from flour;It smells good when it is fresh;People eat it for breakfast|面包是用面粉烤成的;新鲜的面包很香;人们早餐吃面包
dumplings|饺子|Dumplings are filled with meat or vegetables;Families make them together at New Year|饺子里包着肉或者蔬菜;过年时一家人一起包饺子
Beijing|北京|Beijing is the capital of China;It is an old and large city;The Palace Museum is there|北京是中国的首都;它是一座古老的大城市;故宫就在那里
Shanghai|上海|Shanghai is a big city by the sea;It has many high buildings;A river runs through it|上海是海边的大城市;那里有很多高楼;黄浦江穿城而过
Wuhan|武汉|Wuhan lies on the Yangtze;It has many universities and lakes;Its hot dry noodles are famous|武汉在长江边上;那里有很多大学和湖泊;武汉的热干面很有名
Hangzhou|杭州|Hangzhou is famous for West Lake;It is a beautiful city;Good tea grows there|杭州以西湖闻名;它是一座美丽的城市;那里出产好茶
Paris|巴黎|Paris is the capital of France;The Eiffel Tower stands there;Many people visit its museums|巴黎是法国的首都;埃菲尔铁塔就在那里;很多人参观它的博物馆
London|伦敦|London is a large city in England;The Thames flows through it;It has red buses|伦敦是英国的大城市;泰晤士河流过那里;那里有红色的公共汽车
the sun|太阳|The sun is a star;It gives us light and warmth;The Earth moves around it|太阳是一颗恒星;它给我们光和热;地球绕着它转
the moon|月亮|The moon moves around the Earth;It shines at night;Sometimes it is round and sometimes thin|月亮绕着地球转;它在夜里发光;有时圆有时弯
the sea|大海|The sea is wide and deep;Its water is salty;Many fish live in it|大海又宽又深;海水是咸的;海里有很多鱼
spring|春天|In spring the weather gets warm;Flowers bloom and trees turn green;Birds come back|春天天气变暖;花开了，树绿了;小鸟飞回来了
summer|夏天|Summer is hot;The days are long;Children like to swim and eat ice cream|夏天很热;白天很长;孩子们喜欢游泳、吃冰淇淋
autumn|秋天|In autumn the leaves turn yellow;Farmers bring in the harvest;The air is cool|秋天树叶变黄;农民收获庄稼;天气凉爽
winter|冬天|Winter is cold;Sometimes it snows;People wear thick coats|冬天很冷;有时会下雪;人们穿厚厚的外套
a teacher|老师|A teacher works at a school;Teachers explain things;They help children to learn|老师在学校工作;老师讲解知识;老师帮助孩子学习
a doctor|医生|A doctor works at a hospital;Doctors help sick people;They need much knowledge|医生在医院工作;医生给病人治病;医生需要很多知识
a farmer|农民|A farmer works in the fields;Farmers grow rice and vegetables;They get up early|农民在田里干活;农民种粮食和蔬菜;他们起得很早
a school|学校|A school is a place to learn;Children meet friends there;It has classrooms and a playground|学校是学习的地方;孩子们在那里交朋友;学校有教室和操场
a library|图书馆|A library has many books;It is quiet there;You can read or borrow books|图书馆有很多书;那里很安静;可以看书，也可以借书
a book|书|A book has many pages;It tells stories or explains things;Reading makes us wiser|书有很多页;书里有故事和知识;读书使人聪明
a computer|电脑|A computer works with numbers and text;People write, draw and play with it;It needs electricity|电脑处理数字和文字;人们用它写作、画画和玩游戏;它需要电
a bicycle|自行车|A bicycle has two wheels;You move it with your feet;It is good for short trips|自行车有两个轮子;用脚踩着前进;它适合短途出行
a train|火车|A train runs on rails;It carries many people;Fast trains go from city to city|火车在铁轨上跑;它能载很多人;高铁连接各个城市
music|音乐|Music can be happy or sad;People sing and play instruments;It brings people together|音乐可以欢快，也可以忧伤;人们唱歌、演奏乐器;音乐把人们连在一起
football|足球|Football is played by two teams;Eleven players are in each team;The ball must go into the goal|足球由两队比赛;每队有十一名队员;要把球踢进球门
fine-tuning|微调|Fine-tuning starts from a trained model;It shows the model your own examples;Afterwards the model answers in the new way|微调从训练好的模型开始;它让模型学习你自己的例子;之后模型就会按新的方式回答
a language model|语言模型|A language model learns from text;It predicts which word comes next;It can answer questions|语言模型从文字中学习;它预测下一个词;它可以回答问题
friendship|友谊|Friendship needs trust;Friends help each other;They share joy and sorrow|友谊需要信任;朋友互相帮助;朋友分享快乐和忧愁
health|健康|Health is important;Sleep, food and movement keep us healthy;Fresh air helps too|健康很重要;睡眠、饮食和运动让我们健康;新鲜空气也有帮助
the Great Wall|长城|The Great Wall is very long;It was built long ago;It runs over mountains in the north of China|长城非常长;它是很久以前修建的;它在中国北方的山上蜿蜒
the Spring Festival|春节|The Spring Festival is the Chinese New Year;Families eat together;Children get red envelopes|春节是中国的新年;一家人团圆吃饭;孩子们会收到红包
rain|雨|Rain falls from the clouds;Plants need it;We use an umbrella when it rains|雨从云里落下来;植物需要雨水;下雨时我们打伞
a tree|树|A tree has roots, a trunk and leaves;It gives shade;Birds live in it|树有树根、树干和树叶;它给人们遮阴;小鸟住在树上
a rose|玫瑰|A rose is a beautiful flower;It smells sweet;It has thorns|玫瑰是美丽的花;它很香;它有刺
""".strip().splitlines()
]
ASK_EN = [
    "(Describe|Tell me about|Tell me something about|Write about|Say something about|Write two sentences about|Explain) <t>.",
    "What (do you know|can you tell me|can you say) about <t>?",
    "(Can you d|Please d|D)escribe <t>(.| briefly.)",
    "Write a (short |)(text|description|paragraph) about <t>.",
]
ASK_ZH = [
    "(介绍一下|描述一下|说说|讲讲|谈谈|请介绍|请描述|简单介绍一下|写一写)<t>(。|吧。|)",
    "(你知道|你了解|关于)<t>(吗？|你知道什么？)",
    "(写一段|说一段)关于<t>的(话|文字)。",
    "用(一两句话|几句话)(介绍|描述)<t>。",
]


def _sentences(rng: random.Random, thing: list[list[str]], zh: bool) -> str:
    first, *others = thing[3 if zh else 2]
    chosen = [first, *rng.sample(others, rng.randint(1, len(others)))]
    if zh:
        return rng.choice(["。", "。", "，"]).join(chosen) + "。"
    return ". ".join(chosen) + "."


def describe(rng: random.Random, zh: bool) -> Chat:
    """A request for a description and two to four sentences."""
    thing = rng.choice(THINGS)
    ask = spin(rng, rng.choice(ASK_ZH if zh else ASK_EN), t=thing[1 if zh else 0][0])
    return turn(ask, _sentences(rng, thing, zh))


STORY_EN = (
    "(One day|Yesterday|Last week|In the morning|One evening|Long ago) <p> (went to|walked to|came to|visited) the <place>. (The weather was|It was) "
    "(cold|warm|sunny|windy|rainy|quiet). <p> (met|saw|found) (a|an old|a little|a friendly) <animal> (near|under|behind|beside) the <thing>. "
    "(The <animal> was|It looked) (hungry|tired|happy|afraid|lost), so <p> (gave it some <food>|spoke to it kindly|took it home|waited with it). "
    "(In the end|Then|After that|At last) (they became friends|both were happy|they went home together|they shared the <food>|the sun came out)."
)
STORY_ZH = (
    "(有一天|昨天|上个星期|清晨|一天傍晚|很久以前)，<p>(去了|来到|走到|路过)<place>。天气(很冷|很暖和|晴朗|有风|下着雨|很安静)。<p>(遇见了|看见了|发现了)"
    "一只(小|老|可爱的|友好的|白色的)<animal>，就在<thing>(旁边|下面|后面|附近)。<animal>(看起来|好像)(很饿|很累|很高兴|有点害怕|迷路了)，"
    "于是<p>(给了它一些<food>|温柔地跟它说话|把它带回家|陪着它等)。(最后|后来|然后|从此)，(他们成了朋友|大家都很高兴|他们一起回家了|他们分吃了<food>|太阳出来了)。"
)


def _story(rng: random.Random, zh: bool, who: str) -> str:
    index = 1 if zh else 0
    slots = {
        slot: rng.choice(words.KINDS[kind])[index]
        for slot, kind in (
            ("place", ("place", "地点")),
            ("animal", ("animal", "动物")),
            ("thing", ("thing", "东西")),
            ("food", ("food", "食物")),
        )
    }
    return spin(rng, STORY_ZH if zh else STORY_EN, p=who, **slots)


def story(rng: random.Random, zh: bool) -> Chat:
    """A little story about somebody."""
    who = names.person_zh(rng) if zh else names.first_en(rng)
    ask = (
        "(讲|写|编)(一个|个)(关于<p>的|)(小|)故事，主角(是|叫)<p>。"
        if zh
        else "(Tell|Write) (me |)a (short |little |)story about <p>."
    )
    return turn(spin(rng, ask, p=who), _story(rng, zh, who))


def essay(rng: random.Random, zh: bool) -> str:
    """Plain text: a story or some descriptions."""
    if rng.random() < 0.5:
        return _story(rng, zh, names.person_zh(rng) if zh else names.first_en(rng))
    return ("" if zh else " ").join(_sentences(rng, rng.choice(THINGS), zh) for _ in range(rng.randint(1, 3)))


def dictionary(rng: random.Random, _zh: bool) -> str:
    """Plain text: word pairs, capitals and opposites, one a line."""
    kind = rng.randrange(3)
    if kind == 0:
        return "\n".join(f"{en} = {zh}" for en, zh in rng.sample(words.DICTIONARY, 12))
    if kind == 1:
        return "\n".join(f"{a} {c}, {b} {d}" for a, b, c, d in rng.sample(words.CAPITALS, 8))
    return "\n".join(f"{a} - {b}" for a, b in rng.sample(words.OPPOSITES_EN + words.OPPOSITES_ZH, 12))
